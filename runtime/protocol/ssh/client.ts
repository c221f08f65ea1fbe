import { connect as connectTcp, type Socket } from "node:net";
import ssh2, { type ClientChannel as Ssh2Channel } from "ssh2";
import { ConvocateError } from "../../domain/index.js";
import { ALGORITHMS, KEEPALIVE } from "./algorithms.js";
import { fingerprintOfBlob, parsePrivateKey, parsePublicKey } from "./keys.js";
import type { ClientChannel, DialOptions, SshConnection } from "./types.js";

/** From dial to authenticated. */
const DIAL_TIMEOUT_MS = 10_000;

/**
 * Opens a pinned connection. @throws ConvocateError, told apart by code: UNREACHABLE, CONNECTION_REFUSED, TIMEOUT,
 * HOST_KEY_MISMATCH (with both fingerprints), AUTH_REJECTED, CONNECTION_LOST.
 */
export async function dial(options: DialOptions): Promise<SshConnection> {
  const where = `${options.host}:${options.port}`;
  const pinned = parsePublicKey(options.hostKey);
  parsePrivateKey(options.privateKey);
  const timeoutMs = options.timeoutMs ?? DIAL_TIMEOUT_MS;
  const connectTimeoutMs = Math.min(options.connectTimeoutMs ?? timeoutMs, timeoutMs);
  const late = AbortSignal.timeout(timeoutMs);
  const unconnected = AbortSignal.timeout(connectTimeoutMs);
  const onTime = (cause: unknown, deadline: AbortSignal, withinMs: number): unknown =>
    deadline.aborted && !options.signal?.aborted
      ? new ConvocateError(
          "TIMEOUT",
          `${where} did not answer within ${withinMs / 1000} s: is the host up, and the port open?`,
          { cause },
        )
      : cause;
  const given = options.signal ? [options.signal] : [];

  const connectSignal = AbortSignal.any([...given, unconnected]);
  const socket = await openSocket(options, where, connectSignal).catch((error: unknown) => {
    throw onTime(error, unconnected, connectTimeoutMs);
  });
  const signal = AbortSignal.any([...given, late]);
  const client = new ssh2.Client();
  let lost: Error | undefined;
  const closed = new Promise<Error | undefined>((resolve) => client.once("close", () => resolve(lost)));
  try {
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason as Error);
      signal.addEventListener("abort", onAbort, { once: true });
      let wrongKey: ConvocateError | undefined;
      client
        .once("ready", () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        })
        .on("error", (error: Error & { level?: string }) => {
          lost = wrongKey ?? dialError(error, where);
          reject(lost);
        })
        .once("close", () =>
          reject(new ConvocateError("CONNECTION_LOST", `${where} closed the connection before it was ready`)),
        )
        .connect({
          sock: socket,
          username: options.username ?? "convocate",
          privateKey: options.privateKey,
          // "none", which ssh2 would try first, costs a round trip and is never allowed.
          authHandler: ["publickey"],
          algorithms: ALGORITHMS,
          keepaliveInterval: options.keepaliveMs ?? KEEPALIVE.intervalMs,
          keepaliveCountMax: KEEPALIVE.missedMax,
          // our own deadline spans TCP and SSH
          readyTimeout: 0,
          hostVerifier: (key: Buffer) => {
            if (key.equals(pinned.blob)) return true;
            wrongKey = new ConvocateError(
              "HOST_KEY_MISMATCH",
              `${where} has host key ${fingerprintOfBlob(key)}, but ${fingerprintOfBlob(pinned.blob)} is pinned: if the host was rebuilt on purpose, provision it again; otherwise somebody else answers there`,
            );
            return false;
          },
        });
    });
  } catch (error) {
    client.destroy();
    socket.destroy();
    throw onTime(error, late, timeoutMs);
  }
  // ssh2 ends a connection whose peer is silent without closing its socket
  client.on("error", () => socket.destroy());

  const close = (): void => {
    client.end();
    socket.destroySoon();
  };
  return {
    closed,
    close,
    async [Symbol.asyncDispose]() {
      close();
    },
    openSubsystem: (name, subsystem = {}) => openSubsystem(client, where, name, subsystem),
  };
}

async function openSocket(options: DialOptions, where: string, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const socket = connectTcp({ host: options.host, port: options.port, noDelay: true, keepAlive: true });
  return await new Promise((resolve, reject) => {
    const onAbort = (): void => {
      socket.destroy();
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("connect", () => {
      signal.removeEventListener("abort", onAbort);
      socket.off("error", onError);
      // ssh2 hears the errors from here on; this one keeps the process when nobody does
      socket.on("error", () => socket.destroy());
      resolve(socket);
    });
    const onError = (cause: NodeJS.ErrnoException): void => {
      signal.removeEventListener("abort", onAbort);
      reject(
        cause.code === "ECONNREFUSED"
          ? new ConvocateError("CONNECTION_REFUSED", `${where} refused the connection: is the service running there?`, {
              cause,
            })
          : new ConvocateError(
              "UNREACHABLE",
              `cannot reach ${where} (${cause.code ?? cause.message}): check the address and the network`,
              { cause },
            ),
      );
    };
    socket.once("error", onError);
  });
}

function dialError(cause: Error & { level?: string }, where: string): ConvocateError {
  if (cause.level === "client-authentication") {
    return new ConvocateError("AUTH_REJECTED", `${where} rejected our key: provision the host again to register it`, {
      cause,
    });
  }
  return new ConvocateError("CONNECTION_LOST", `connection to ${where} failed: ${cause.message}`, { cause });
}

async function openSubsystem(
  client: ssh2.Client,
  where: string,
  name: string,
  { timeoutMs = DIAL_TIMEOUT_MS, signal }: { timeoutMs?: number; signal?: AbortSignal },
): Promise<ClientChannel> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const until = signal ? AbortSignal.any([signal, deadline]) : deadline;
  until.throwIfAborted();
  return await new Promise<ClientChannel>((resolve, reject) => {
    const onAbort = (): void =>
      reject(
        deadline.aborted
          ? new ConvocateError("TIMEOUT", `${where} did not open ${name} within ${timeoutMs / 1000} s`)
          : (until.reason as Error),
      );
    until.addEventListener("abort", onAbort, { once: true });
    const onClose = (): void =>
      reject(new ConvocateError("CONNECTION_LOST", `connection to ${where} was lost while opening ${name}`));
    client.once("close", onClose);
    try {
      client.subsys(name, (error, opened) => {
        until.removeEventListener("abort", onAbort);
        client.off("close", onClose);
        if (error)
          reject(
            new ConvocateError("REFUSED", `${where} refused ${name}: is this an agent of a matching release?`, {
              cause: error,
            }),
          );
        else if (until.aborted) opened.close();
        // here and not after an await: an exit-status may be in the same packet as the channel's confirmation
        else resolve(clientChannel(opened));
      });
    } catch (cause) {
      reject(new ConvocateError("CONNECTION_LOST", `connection to ${where} is closed`, { cause }));
    }
  });
}

function clientChannel(channel: Ssh2Channel): ClientChannel {
  let status: number | null = null;
  channel.on("exit", (code: number | null) => {
    status = code;
  });
  const closed = new Promise<number | null>((resolve) => channel.once("close", () => resolve(status)));
  // ssh2 sends window changes for shell and exec only; RFC 4254 6.7 allows them on any session channel
  (channel as { subtype?: string }).subtype = "exec";
  // nobody writes stderr on our subsystems, but an unread one would hold the channel's window
  channel.stderr.resume();
  return {
    stream: channel,
    closed,
    setWindow: ({ cols, rows }) => channel.setWindow(rows, cols, 0, 0),
    close: () => channel.close(),
  };
}
