import type { Readable } from "node:stream";

/** Where an sshd is, and how we log in to it. */
export interface SshLogin {
  address: string;
  port: number;
  user: string;
  /** The pinned host keys, as OpenSSH public key lines (`ssh-ed25519 AAAA…`); at least one. */
  hostKeys: string[];
  /** Private key file on the operator's machine; the SSH agent when left out. Never its content. */
  identityFile?: string;
}

interface Named {
  name: string;
  /** File on the operator's machine whose first line is the login user's sudo password. Never its content. */
  sudoPasswordFile?: string;
}

/** How to reach one host. `local` is this machine; everything else is SSH with the host key pinned. */
export type HostAddress =
  | (Named & { via: "local" })
  /** Through `jump` where the host cannot be reached from here. */
  | (Named & SshLogin & { via: "ssh"; jump?: SshLogin });

export interface RunOptions {
  /** Standard input: small content as a Buffer or string, large as a stream. */
  input?: Buffer | string | Readable;
  /** From start to exit; default 60 s. */
  timeoutMs?: number;
  /** As root through sudo when the login user is not root; default true. */
  root?: boolean;
  /** Accept any exit code; without it a non-zero one rejects with COMMAND_FAILED, naming host, argv[0] and stderr's tail. */
  allowFailure?: boolean;
  signal?: AbortSignal;
}

export interface RunResult {
  /** Bounded at 8 MiB; more rejects. */
  stdout: string;
  stderr: string;
  exitCode: number;
}

/** One host: runs an argv, moves bytes, nothing else. Many commands may run at once on one connection. */
export interface Connection extends AsyncDisposable {
  readonly host: HostAddress;
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>;
}

/** Connections by host, one each, opened on first use and shared by everything in the process. */
export interface ConnectionPool extends AsyncDisposable {
  connect(host: HostAddress, signal?: AbortSignal): Promise<Connection>;
}
