import { readFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import ssh2, { type AuthContext, type Connection, type ServerChannel, type Session } from "ssh2";
import { ConvocateError } from "../../domain/index.js";
import { Sparing } from "../log.js";
import { ALGORITHMS, KEEPALIVE } from "./algorithms.js";
import { AuthorizedKeys } from "./authorized-keys.js";
import { fingerprintOfBlob, parsePrivateKey } from "./keys.js";
import type { Peer, ServedChannel, ServeOptions, SshServer, WindowSize } from "./types.js";

/** Channels of one connection at a time. Ours opens one or two; each may cost a line of a megabyte and a window of two. */
const MAX_CHANNELS = 128;

const LIMITS = { authTimeoutMs: 20_000, maxUnauthenticated: 32, maxAttempts: 6 };

/**
 * An SSH server that is narrow on purpose (SPEC 5): ed25519 public keys only, named subsystems only. Whatever has no
 * listener here (shell, exec, pty, env, x11, agent, forwards, other channels and global requests) ssh2 refuses at
 * protocol level. ssh2 has no limits before authentication, so this keeps them, on sockets of its own listener.
 */
export async function serveSsh(options: ServeOptions): Promise<SshServer> {
  const { log } = options;
  const limits = { ...LIMITS, ...options.limits };
  const hostKey = await readFile(options.hostKeyPath, "utf8").catch((cause: unknown) => {
    throw new ConvocateError("IO_ERROR", `cannot read the host key ${options.hostKeyPath}: provision this host again`, {
      cause,
    });
  });
  parsePrivateKey(hostKey);

  /** For what strangers cause; peers have one each. */
  const strangers = new Sparing();

  /** Every open socket, by remote address and port. `blob` is set once its key is proven. */
  const entries = new Map<string, Entry>();

  const keys = new AuthorizedKeys(options.authorizedKeysPath, log, () => {
    for (const { socket, peer, blob } of entries.values()) {
      if (!blob || keys.find(blob)) continue;
      log.warn({ peer: peer?.comment, fingerprint: peer?.fingerprint }, "key revoked: connection closed");
      socket.destroy();
    }
  });
  await keys.start();

  const ssh = new ssh2.Server(
    {
      hostKeys: [hostKey],
      algorithms: ALGORITHMS,
      ident: "convocate",
      keepaliveInterval: KEEPALIVE.intervalMs,
      keepaliveCountMax: KEEPALIVE.missedMax,
    },
    (connection, info) => {
      const entry = entries.get(`${info.ip} ${info.port}`);
      if (entry) serve(connection, entry);
      else connection.end();
    },
  );

  function serve(connection: Connection, entry: Entry): void {
    let attempts = 0;
    const sparing = new Sparing();
    connection.on("error", (error) => {
      const unlogged = strangers.next();
      if (unlogged)
        log.info({ address: entry.socket.remoteAddress, error: error.message, ...unlogged }, "ssh connection failed");
      entry.socket.destroy();
    });
    connection.on("authentication", (context) => {
      if (context.method !== "none" && ++attempts > limits.maxAttempts) return void entry.socket.destroy();
      authenticate(context, entry).catch((error: unknown) => {
        log.error({ error: String(error) }, "authentication failed");
        entry.socket.destroy();
      });
    });
    connection.on("ready", () => {
      entry.ready = true;
      if (entry.peer) options.onPeer?.(entry.peer, "connected", 0);
    });
    let channels = 0;
    connection.on("session", (accept, reject) => {
      if (!entry.peer) return void reject();
      if (channels >= MAX_CHANNELS) {
        const unlogged = sparing.next();
        if (unlogged) log.warn({ peer: entry.peer.comment, channels, ...unlogged }, "too many channels: refused");
        return void reject();
      }
      channels += 1;
      const session = accept();
      session.once("close", () => (channels -= 1));
      serveSession(session, entry.peer, entry.socket, sparing);
    });
  }

  async function authenticate(context: AuthContext, entry: Entry): Promise<void> {
    if (context.method !== "publickey" || context.key.algo !== "ssh-ed25519") return void context.reject(["publickey"]);
    await keys.refresh();
    const known = keys.find(context.key.data);
    const fingerprint = fingerprintOfBlob(context.key.data);
    if (!known) {
      const unlogged = strangers.next();
      if (unlogged) log.warn({ fingerprint, address: entry.socket.remoteAddress, ...unlogged }, "unknown key refused");
      return void context.reject(["publickey"]);
    }
    // Without a signature the client only asks whether this key would do.
    if (!context.signature) return void context.accept();
    const key = ssh2.utils.parseKey(`ssh-ed25519 ${known.blob.toString("base64")}`);
    if (key instanceof Error || !context.blob || !key.verify(context.blob, context.signature, context.hashAlgo)) {
      return void context.reject(["publickey"]);
    }
    entry.blob = known.blob;
    entry.peer = { comment: known.comment, fingerprint, address: entry.socket.remoteAddress ?? "" };
    context.accept();
  }

  function serveSession(session: Session, peer: Peer, socket: Socket, sparing: Sparing): void {
    const resizeListeners: ((size: WindowSize) => void)[] = [];
    let used = false;
    // ssh2 hands no accept and reject when the client wants no reply, whatever its types say.
    session.on("window-change", (accept: (() => void) | undefined, _reject, { cols, rows }) => {
      for (const listener of resizeListeners) listener({ cols, rows });
      accept?.();
    });
    session.on("subsystem", (accept: () => ServerChannel, reject: (() => void) | undefined, { name }) => {
      const handler = Object.hasOwn(options.subsystems, name) ? options.subsystems[name] : undefined;
      if (!handler || used) {
        const unlogged = sparing.next();
        if (unlogged) log.warn({ peer: peer.comment, subsystem: name.slice(0, 64), ...unlogged }, "subsystem refused");
        return void reject?.();
      }
      used = true;
      const channel = servedChannel(accept(), peer, socket, resizeListeners);
      handler(channel).catch((error: unknown) => {
        log.error({ peer: peer.comment, subsystem: name, error: String(error) }, "subsystem failed");
        channel.exit(1);
      });
    });
  }

  const listener = createServer({ noDelay: true }, (socket) => {
    const unauthenticated = [...entries.values()].filter((entry) => !entry.ready).length;
    if (unauthenticated >= limits.maxUnauthenticated) return void socket.destroy();
    const id = `${socket.remoteAddress} ${socket.remotePort}`;
    const entry: Entry = { socket, ready: false, heardAtMs: performance.now() };
    entries.set(id, entry);
    const deadline = setTimeout(() => {
      if (!entry.ready) socket.destroy();
    }, limits.authTimeoutMs);
    // Each of its channels listens for its end.
    socket.setMaxListeners(2 * MAX_CHANNELS);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      clearTimeout(deadline);
      entries.delete(id);
      if (entry.ready && entry.peer) options.onPeer?.(entry.peer, "closed", performance.now() - entry.heardAtMs);
    });
    socket.on("data", () => (entry.heardAtMs = performance.now()));
    ssh.injectSocket(socket);
  });
  ssh.on("error", (error: Error) => log.error({ error: error.message }, "ssh server"));

  await new Promise<void>((resolve, reject) => {
    listener.once("error", (cause: NodeJS.ErrnoException) => {
      const next = cause.code === "EADDRINUSE" ? "another program listens there; see `ss -ltnp`" : "see the cause";
      reject(new ConvocateError("IO_ERROR", `cannot listen on tcp/${options.port}: ${next}`, { cause }));
    });
    listener.listen(options.port, options.address, resolve);
  }).catch((error: unknown) => {
    keys[Symbol.dispose]();
    throw error;
  });
  const address = listener.address();

  const close = async (): Promise<void> => {
    keys[Symbol.dispose]();
    const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
    for (const { socket } of entries.values()) socket.destroy();
    await closed;
  };
  return {
    port: address && typeof address === "object" ? address.port : options.port,
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface Entry {
  socket: Socket;
  /** Authentication is done. */
  ready: boolean;
  /** When its last byte came, by performance.now(). */
  heardAtMs: number;
  peer?: Peer;
  blob?: Buffer;
}

function servedChannel(
  stream: ServerChannel,
  peer: Peer,
  socket: Socket,
  resizeListeners: ((size: WindowSize) => void)[],
): ServedChannel {
  const gone = new AbortController();
  let exited = false;
  const end = (): void => {
    // A connection outlives its channels.
    socket.off("close", end);
    gone.abort();
  };
  stream.on("close", end);
  stream.on("error", end);
  socket.once("close", end);
  return {
    stream,
    peer,
    signal: gone.signal,
    onWindowChange: (listener) => void resizeListeners.push(listener),
    exit(status) {
      if (exited || gone.signal.aborted) return;
      exited = true;
      stream.exit(status);
      stream.end();
    },
  };
}
