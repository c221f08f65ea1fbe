import { ConvocateError } from "../../runtime/domain/index.js";
import { LocalConnection } from "./local.js";
import type { MachineConnection } from "./machine.js";
import { SshMachineConnection } from "./ssh.js";
import type { Connection, ConnectionPool, HostAddress, SshLogin } from "./types.js";

/**
 * One connection per host for the whole process. What `connect` gives belongs to the pool: disposing it does nothing,
 * disposing the pool closes all of them.
 */
export function createPool(): ConnectionPool {
  return new Pool();
}

class Pool implements ConnectionPool {
  readonly #connections = new Map<string, MachineConnection>();
  #closed = false;

  async connect(host: HostAddress, signal?: AbortSignal): Promise<Connection> {
    if (this.#closed)
      throw new ConvocateError("CONNECTION_LOST", `${host.name}: this program is closing its connections`);
    const key = keyOf(host);
    let connection = this.#connections.get(key);
    if (!connection) {
      connection = host.via === "local" ? new LocalConnection(host) : new SshMachineConnection(host);
      this.#connections.set(key, connection);
    }
    if (connection instanceof SshMachineConnection) await connection.ready(signal);
    return new Borrowed(host, connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const all = [...this.#connections.values()];
    this.#connections.clear();
    await Promise.all(all.map((connection) => connection[Symbol.asyncDispose]()));
  }
}

class Borrowed implements Connection {
  readonly run: Connection["run"];

  constructor(
    readonly host: HostAddress,
    connection: Connection,
  ) {
    this.run = connection.run.bind(connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The pool's to close.
  }
}

/** One machine may go by two names; but never is one reached by what another was pinned or let in with. */
function keyOf(host: HostAddress): string {
  const login = ({ address, port, user, hostKeys, identityFile }: SshLogin): unknown[] => [
    ...[address, port, user],
    [...hostKeys].sort(),
    identityFile ?? null,
  ];
  const way = host.via === "local" ? ["local"] : [login(host), host.jump ? login(host.jump) : null];
  return JSON.stringify([...way, host.sudoPasswordFile ?? null]);
}
