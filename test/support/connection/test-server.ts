import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ssh2 from "ssh2";
import type { HostAddress } from "../../../infra/connection/types.js";

/** An SSH server in this process that runs commands with sh, for tests: what a host does, and what goes wrong with one. */
export interface TestServer {
  host: Extract<HostAddress, { via: "ssh" }>;
  /** Connections made so far. */
  seen: { connections: number };
  /** Breaks every connection, as a host that goes away does. */
  breakConnections(): void;
  close(): Promise<void>;
}

export function makeKeys(count: number): { file: string; privateKey: string; publicKey: string }[] & Disposable {
  const directory = mkdtempSync(join(tmpdir(), "convocate-keys-"));
  const keys = Array.from({ length: count }, (_, i) => {
    const file = join(directory, `key-${i}`);
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", `key-${i}`, "-f", file]);
    return { file, privateKey: readFileSync(file, "utf8"), publicKey: readFileSync(`${file}.pub`, "utf8").trim() };
  });
  return Object.assign(keys, { [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) });
}

export async function startTestServer(
  hostKey: { privateKey: string; publicKey: string },
  userKey: { file: string; publicKey: string },
): Promise<TestServer> {
  const seen = { connections: 0 };
  const clients = new Set<ssh2.Connection>();
  const accepted = Buffer.from(userKey.publicKey.split(" ")[1] ?? "", "base64");
  const server = new ssh2.Server({ hostKeys: [hostKey.privateKey] }, (client) => {
    clients.add(client);
    seen.connections++;
    (client as unknown as { _sock: Socket })._sock.setNoDelay(true);
    client.on("error", () => undefined);
    client.on("close", () => clients.delete(client));
    client.on("authentication", (context) => {
      if (context.method === "publickey" && context.key.data.equals(accepted)) context.accept();
      else context.reject(["publickey"]);
    });
    client.on("session", (acceptSession) => {
      const session = acceptSession();
      let child: ReturnType<typeof runChild> | undefined;
      session.on("signal", (acceptSignal, _reject, info) => {
        // Not there when the client wants no answer, whatever the types say.
        (acceptSignal as (() => void) | undefined)?.();
        child?.kill(`SIG${info.name}` as NodeJS.Signals);
      });
      session.on("exec", (acceptExec, _reject, info) => {
        const channel = acceptExec();
        child = runChild(info.command, channel);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: {
      via: "ssh",
      name: "test-host",
      address: "127.0.0.1",
      port: (server.address() as AddressInfo).port,
      user: "root",
      hostKeys: [hostKey.publicKey],
      identityFile: userKey.file,
    },
    seen,
    breakConnections: () => {
      for (const client of clients) (client as unknown as { _sock: Socket })._sock.destroy();
    },
    close: async () => {
      for (const client of clients) client.end();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function runChild(command: string, channel: ssh2.ServerChannel): ReturnType<typeof spawn> {
  const child = spawn("/bin/sh", ["-c", command], {
    stdio: ["pipe", "pipe", "pipe"],
    env: process.env,
    detached: true,
  });
  channel.on("error", () => undefined);
  child.stdin.on("error", () => undefined);
  channel.pipe(child.stdin);
  child.stdout.pipe(channel, { end: false });
  child.stderr.pipe(channel.stderr, { end: false });
  channel.once("close", () => {
    // With its children, or one that sleeps would hold the pipes open; it may have ended.
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  });
  child.once("close", (code, signal) => {
    if (code !== null) channel.exit(code);
    else channel.exit((signal ?? "SIGKILL").slice(3));
    channel.end();
  });
  return child;
}
