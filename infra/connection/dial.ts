import { connect, type Socket } from "node:net";
import { constants } from "node:os";
import type { Duplex } from "node:stream";
import ssh2 from "ssh2";
import { ConvocateError, toConvocateError, type ErrorCode } from "../../runtime/domain/index.js";
import { abortError } from "./collect.js";
import { credentialsFor, jumpHost, place, type SshHost } from "./credentials.js";
import { algorithmsFor, blobOf, fingerprintOf, isPinned, lineOf, typeOf } from "./host-keys.js";

/** From the first packet to being logged in. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Until it takes the connection: a host that is down is named within 10 s of a command's start (issue 5). */
const TCP_TIMEOUT_MS = 6_000;
const KEEPALIVE_INTERVAL_MS = 15_000;
/** Modern algorithms that sshd of Debian 12 and Ubuntu 22.04 has; the rest of ssh2's defaults is not offered. */
const ALGORITHMS = {
  kex: ["curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "diffie-hellman-group16-sha512"],
  cipher: ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"],
  hmac: ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"],
} satisfies ssh2.Algorithms;

const NOBODY_THERE = new Set(["EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN", "EHOSTDOWN", "EADDRNOTAVAIL"]);

/** An authenticated connection to a host whose key is one of the pinned; rejects with one of SPEC 3's unreachable codes. */
export async function dial(host: SshHost, signal?: AbortSignal, timeoutMs = CONNECT_TIMEOUT_MS): Promise<ssh2.Client> {
  const credentials = await credentialsFor(host);
  const deadline = AbortSignal.timeout(timeoutMs);
  const either = signal ? AbortSignal.any([deadline, signal]) : deadline;
  const late = (): ConvocateError => (signal?.aborted ? abortError(signal) : silent(host, timeoutMs));
  const way = await openWay(host, either, late);
  let shown: Buffer | undefined;
  const client = await handshake(
    way.stream,
    {
      username: host.user,
      ...credentials,
      algorithms: { ...ALGORITHMS, serverHostKey: algorithmsFor(host.hostKeys) },
      keepaliveInterval: KEEPALIVE_INTERVAL_MS,
      keepaliveCountMax: 3,
      hostVerifier: (key: Buffer) => {
        shown = key;
        return isPinned(key, host.hostKeys);
      },
    },
    either,
    late,
    (error) => (shown && !isPinned(shown, host.hostKeys) ? mismatch(host, shown) : explain(host, error)),
  ).catch((error: unknown) => {
    way.leave();
    throw error;
  });
  client.once("close", () => way.leave());
  return client;
}

/**
 * The host key that an address shows now, as an OpenSSH public key line; nothing is logged in to. For the first contact
 * only, where a person compares its fingerprint: what a network shows is not to be trusted by itself.
 */
export async function scanHostKey(
  at: Pick<SshHost, "name" | "address" | "port" | "user" | "jump">,
  signal?: AbortSignal,
  timeoutMs = CONNECT_TIMEOUT_MS,
): Promise<{ line: string; fingerprint: string }> {
  const { name, address, port, user, jump } = at;
  const host: SshHost = { via: "ssh", name, address, port, user, hostKeys: [], ...(jump && { jump }) };
  const deadline = AbortSignal.timeout(timeoutMs);
  const either = signal ? AbortSignal.any([deadline, signal]) : deadline;
  const late = (): ConvocateError =>
    signal?.aborted
      ? abortError(signal)
      : new ConvocateError(
          "TIMEOUT",
          `${at.name} (${at.address}:${at.port}): showed no host key within ${timeoutMs / 1000} s`,
        );
  const way = await openWay(host, either, late);
  let shown: Buffer | undefined;
  const hostVerifier = (key: Buffer): boolean => {
    shown = key;
    return false;
  };
  const options = {
    username: host.user,
    algorithms: { ...ALGORITHMS, serverHostKey: algorithmsFor([]) },
    hostVerifier,
  };
  await handshake(way.stream, options, either, late, (error) => explain(host, error))
    .catch((error: unknown) => {
      if (!shown) throw error;
    })
    .finally(() => way.leave());
  if (!shown) throw new ConvocateError("INTERNAL", `${at.name}: logged in without a look at its host key`);
  return { line: lineOf(shown), fingerprint: fingerprintOf(shown) };
}

/** What SSH is spoken over, and what to do when that is done. */
interface Way {
  stream: Duplex;
  leave: () => void;
}

/** Straight to the host, or through its jump host, whose own key is pinned as well. */
async function openWay(host: SshHost, signal: AbortSignal, late: () => ConvocateError): Promise<Way> {
  const jump = jumpHost(host);
  if (!jump) return { stream: await openSocket(host, signal, late), leave: () => undefined };
  const client = await dial(jump, signal);
  client.on("error", () => undefined);
  try {
    const stream = await unlessLate<Duplex>(signal, late, (done, fail) => {
      client.once("close", () => fail(explain(jump, new Error("the host closed the connection"))));
      client.forwardOut("127.0.0.1", 0, host.address, host.port, (error, channel) => {
        if (!error) return done(channel);
        const why = `${place(host)}: ${place(jump)} does not let us through to it (${error.message}): is sshd there, and may ${jump.user} forward?`;
        fail(new ConvocateError("UNREACHABLE", why, { cause: error }));
      });
    });
    return { stream, leave: () => client.end() };
  } catch (thrown) {
    client.end();
    throw thrown;
  }
}

async function openSocket(host: SshHost, signal: AbortSignal, late: () => ConvocateError): Promise<Socket> {
  const socket = connect({ host: host.address, port: host.port, noDelay: true });
  const silence = setTimeout(() => socket.destroy(silent(host, TCP_TIMEOUT_MS)), TCP_TIMEOUT_MS);
  try {
    await unlessLate<void>(signal, late, (done, fail) => {
      socket.once("connect", done);
      socket.on("error", (error) => fail(error instanceof ConvocateError ? error : explain(host, error)));
    });
    return socket.removeAllListeners();
  } catch (thrown) {
    socket.destroy();
    throw thrown;
  } finally {
    clearTimeout(silence);
  }
}

async function handshake(
  socket: Duplex,
  options: ssh2.ConnectConfig,
  signal: AbortSignal,
  late: () => ConvocateError,
  explained: (error: Error) => ConvocateError,
): Promise<ssh2.Client> {
  const client = new ssh2.Client();
  try {
    await unlessLate<void>(signal, late, (done, fail) => {
      client.once("ready", done);
      client.on("error", (error) => fail(explained(error)));
      // A peer that hangs up in the middle makes ssh2 say nothing but `close`.
      client.once("close", () => fail(explained(new Error("the host closed the connection"))));
      try {
        // Our own deadline covers connecting too; theirs is only a net below it.
        client.connect({ ...options, sock: socket, readyTimeout: 60_000 });
      } catch (thrown) {
        fail(toConvocateError(thrown));
      }
    });
    return client.removeAllListeners();
  } catch (thrown) {
    client.end();
    socket.destroy();
    throw thrown;
  }
}

/** What `begin` comes to; when the signal ends before that, `late` says what is thrown. */
async function unlessLate<T>(
  signal: AbortSignal,
  late: () => ConvocateError,
  begin: (done: (value: T) => void, fail: (error: ConvocateError) => void) => void,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const onAbort = (): void => reject(late());
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    begin(resolve, reject);
    return await promise;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function silent(host: SshHost, timeoutMs: number): ConvocateError {
  return new ConvocateError(
    "TIMEOUT",
    `${place(host)}: no answer within ${timeoutMs / 1000} s: is the host up, and the address right?`,
  );
}

function mismatch(host: SshHost, shown: Buffer): ConvocateError {
  const pinned = host.hostKeys.map((line) => `${fingerprintOf(blobOf(line))} (${typeOf(blobOf(line))})`).join(" or ");
  return new ConvocateError(
    "HOST_KEY_MISMATCH",
    `${place(host)}: the host shows key ${fingerprintOf(shown)} (${typeOf(shown)}), but pinned is ${pinned || "none"}: ` +
      `somebody may be in between; if the host was made anew, check its key there and pin that one`,
  );
}

/** Why a connection did not come about, by the error's own codes: errno of the socket, level of ssh2. */
function explain(host: SshHost, error: Error): ConvocateError {
  const say = (code: ErrorCode, message: string): ConvocateError =>
    new ConvocateError(code, `${place(host)}: ${message}`, { cause: error });
  const errno = (error as NodeJS.ErrnoException).code ?? "";
  const level = (error as { level?: string }).level ?? "";
  if (errno === "ECONNREFUSED")
    return say("CONNECTION_REFUSED", "nothing listens there: is sshd running, and the port right?");
  if (errno === "ETIMEDOUT") return say("TIMEOUT", "no answer: is the host up, and the address right?");
  if (NOBODY_THERE.has(errno))
    return say("UNREACHABLE", `cannot be reached (${errno}): check its address and the network`);
  if (level === "client-authentication" || level === "agent") {
    const key = host.identityFile === undefined ? "the SSH agent's keys" : `the key ${host.identityFile}`;
    return say(
      "AUTH_REJECTED",
      `sshd refuses ${key} for ${host.user}: add its public half to ~${host.user}/.ssh/authorized_keys`,
    );
  }
  if (level === "handshake") return say("UNREACHABLE", `no SSH connection came about: ${error.message}`);
  return say("CONNECTION_LOST", `the connection broke while it was being made: ${error.message}`);
}

/** The number of a signal that sshd names (`TERM`), as a shell would report it. */
export function exitCodeOfSignal(name: string): number {
  const numbers: Record<string, number> = constants.signals;
  return 128 + (numbers[`SIG${name.replace(/^SIG/, "")}`] ?? 0);
}
