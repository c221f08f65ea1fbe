import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { z } from "zod";
import { newAuthority, newCertificate } from "../../../infra/host/certificates.js";

/** Where the pinned CLI refreshes its login; no setting points it elsewhere, so that this stands in as a proxy. */
const TOKEN_HOST = "platform.claude.com";
const TOKEN_PATH = "/v1/oauth/token";
const MAX_BODY_BYTES = 64 * 1024;
/** Short keys are quick to make, and last for one test. */
const KEY_BITS = 2048;

export interface Login extends AsyncDisposable {
  /** Of the proxy: a session gets it as HTTPS_PROXY, and `caPem` by NODE_EXTRA_CA_CERTS. */
  readonly port: number;
  readonly caPem: string;
  /** How many refreshes were asked for and granted. A refresh token is good for one: it is replaced by the next. */
  readonly asked: number;
  readonly granted: number;
  /** The text of a `.credentials.json` with the tokens that are good now; `expiresInMs` may be below 0. */
  credentials(expiresInMs: number): string;
  /** Makes the access token that sessions have now worthless. */
  expire(): void;
  /** Whether a request with this header is from somebody who is logged in. */
  accepts(authorization: string | undefined): boolean;
}

/**
 * An OAuth server with the one grant that a session needs, behind an HTTPS proxy that reaches nothing else. `grantMs` is how
 * long a token is said to last; the CLI renews it 5 min before that.
 */
export async function startLogin({ host = "127.0.0.1", grantMs = 8 * 3_600_000 } = {}): Promise<Login> {
  const authority = await newAuthority("convocate test authority", KEY_BITS);
  const { certPem, keyPem } = await newCertificate(authority, TOKEN_HOST, "server", KEY_BITS);
  let access = token("oat");
  let refresh = token("ort");
  let asked = 0;
  let granted = 0;

  const inner = createTlsServer({ cert: certPem, key: keyPem }, (request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== "POST" || request.url !== TOKEN_PATH) {
      send(response, 404, { error: "not_found" });
      return;
    }
    const parsed = Refresh.safeParse(JSON.parse(await body(request)));
    asked += 1;
    if (!parsed.success || parsed.data.refresh_token !== refresh) {
      send(response, 400, { error: "invalid_grant", error_description: "Refresh token not found or invalid" });
      return;
    }
    granted += 1;
    access = token("oat");
    refresh = token("ort");
    send(response, 200, {
      token_type: "Bearer",
      access_token: access,
      expires_in: grantMs / 1000,
      refresh_token: refresh,
      scope: SCOPES.join(" "),
    });
  }

  const proxy = createServer((_request, response) => send(response, 403, { error: "only CONNECT" }));
  const sockets = new Set<Socket>();
  proxy.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).once("close", () => sockets.delete(socket));
  });
  proxy.on("connect", (request: IncomingMessage, socket: Socket) => {
    if (request.url !== `${TOKEN_HOST}:443`) {
      socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
      return;
    }
    socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
    inner.emit("connection", socket);
  });
  inner.on("tlsClientError", () => undefined);
  proxy.listen(0, host);
  await once(proxy, "listening");

  return {
    port: (proxy.address() as AddressInfo).port,
    caPem: authority.certPem,
    get asked() {
      return asked;
    },
    get granted() {
      return granted;
    },
    credentials: (expiresInMs) =>
      JSON.stringify({
        claudeAiOauth: {
          accessToken: access,
          refreshToken: refresh,
          expiresAt: Date.now() + expiresInMs,
          scopes: SCOPES,
          subscriptionType: "max",
        },
      }),
    expire: () => void (access = token("oat")),
    accepts: (authorization) => authorization === `Bearer ${access}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => proxy.close(() => resolve()));
    },
  };
}

const SCOPES = ["user:inference", "user:profile"];
const Refresh = z.object({ grant_type: z.literal("refresh_token"), refresh_token: z.string() });

const token = (kind: string): string => `sk-ant-${kind}01-test-${randomBytes(24).toString("hex")}`;

async function body(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request as AsyncIterable<Buffer>) {
    text += chunk.toString("utf8");
    if (text.length > MAX_BODY_BYTES) throw new Error("the request is too long");
  }
  return text;
}

function send(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}
