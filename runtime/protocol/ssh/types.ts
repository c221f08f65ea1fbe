import type { Duplex } from "node:stream";
import type { Log } from "../log.js";

export interface WindowSize {
  cols: number;
  rows: number;
}

/** Who authenticated: `comment` is the key's comment in the authorized_keys file (SPEC 4: the agent id, at the shell). */
export interface Peer {
  comment: string;
  /** `SHA256:…`, as OpenSSH prints it. */
  fingerprint: string;
  address: string;
}

/** One subsystem channel as the server side sees it. It is a Duplex with backpressure; `end()` alone sends EOF only. */
export interface ServedChannel {
  readonly stream: Duplex;
  readonly peer: Peer;
  /** Aborted when the channel or its connection is gone. */
  readonly signal: AbortSignal;
  onWindowChange(listener: (size: WindowSize) => void): void;
  /** Sends the exit-status and closes the channel, once. */
  exit(status: number): void;
}

export interface ServeOptions {
  /** Address to listen on; all when left out. */
  address?: string;
  /** tcp port; 0 for any free one. */
  port: number;
  /** OpenSSH private key file, ed25519. */
  hostKeyPath: string;
  /** authorized_keys file; re-read on change, and a revoked key's live connections are closed within 1 s. */
  authorizedKeysPath: string;
  /** By subsystem name. A handler that throws closes its channel with exit-status 1 and is logged. */
  subsystems: Record<string, (channel: ServedChannel) => Promise<void>>;
  log: Log;
  /**
   * Called when a peer's connection authenticated, and when it closed: to tell who is there. `silentMs` is how long nothing had
   * come from it.
   */
  onPeer?: (peer: Peer, state: "connected" | "closed", silentMs: number) => void;
  /** Defaults of SPEC 5: 20 s, 32 connections, 6 attempts. */
  limits?: Partial<{ authTimeoutMs: number; maxUnauthenticated: number; maxAttempts: number }>;
}

export interface SshServer extends AsyncDisposable {
  readonly port: number;
  /** Stops listening and closes every connection. */
  close(): Promise<void>;
}

export interface DialOptions {
  host: string;
  port: number;
  username?: string;
  /** OpenSSH private key, ed25519, as text. */
  privateKey: string;
  /** The pinned host key, as an OpenSSH public key line. Any other is refused with HOST_KEY_MISMATCH and both fingerprints. */
  hostKey: string;
  /** From dial to authenticated; default 10 s. */
  timeoutMs?: number;
  /** From dial to a TCP connection, where that shall be less. */
  connectTimeoutMs?: number;
  /** How often the peer is pinged; three missed in a row end the connection. Default 30 s (SPEC 5). */
  keepaliveMs?: number;
  signal?: AbortSignal;
}

/** A subsystem channel as the client side sees it. */
export interface ClientChannel {
  readonly stream: Duplex;
  setWindow(size: WindowSize): void;
  /** The exit-status once closed, null when the connection broke before one came. */
  readonly closed: Promise<number | null>;
  close(): void;
}

export interface SshConnection extends AsyncDisposable {
  openSubsystem(name: string, options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<ClientChannel>;
  /** Resolves when the connection is gone, with the reason when there is one. Never rejects. */
  readonly closed: Promise<Error | undefined>;
  close(): void;
}
