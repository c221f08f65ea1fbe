import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AgentPaths } from "../../runtime/agent/config.js";
import { agentPaths, newSessionId, type SessionId } from "../../runtime/domain/index.js";

/** Writes a session's directory as convocate 2 left it below a service user's home; `change` goes into its session.json. */
export function leaveFormer<D extends string = SessionId>(
  home: string,
  change: Record<string, unknown> = {},
  directory: D = newSessionId() as string as D,
): D {
  const former = {
    uuid: directory,
    name: "old",
    created_at: "2025-01-02T03:04:05.123456789+01:00",
    last_accessed: "2025-02-03T04:05:06Z",
    port: 0,
    protocol: "tcp",
    dns_name: "",
  };
  mkdirSync(join(home, directory));
  writeFileSync(join(home, directory, "session.json"), JSON.stringify({ ...former, ...change }));
  return directory;
}

/** An agent's files on a host that has sessions of convocate 2. */
export class FormerHost implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "convocate-adopt-"));
  readonly home = join(this.root, "home");
  readonly paths: AgentPaths = {
    ...agentPaths,
    agentId: join(this.root, "agent-id"),
    settings: join(this.root, "settings.json"),
    sessions: join(this.root, "sessions"),
    events: join(this.root, "events"),
    locks: join(this.root, "locks"),
    transfers: join(this.root, "transfers"),
  };

  constructor() {
    mkdirSync(this.home);
    writeFileSync(this.paths.agentId, "abcd1234\n");
    this.settings();
  }

  settings(change: Record<string, unknown> = {}): void {
    const [uid, gid] = [process.getuid!() || 1337, process.getgid!() || 1337];
    writeFileSync(this.paths.settings, JSON.stringify({ name: "a", uid, gid, home: this.home, ...change }));
  }

  /** A directory as it was left, the service user's. */
  leave(change: Record<string, unknown> = {}, directory: string = newSessionId()): string {
    leaveFormer(this.home, change, directory);
    this.own(directory);
    return directory;
  }

  /** A directory that `fill` makes of its path, the service user's. */
  leaveOdd(fill: (folder: string) => void): string {
    const directory = newSessionId();
    mkdirSync(join(this.home, directory));
    fill(join(this.home, directory));
    this.own(directory);
    return directory;
  }

  /** As root it is given to the service user; else it is his already. */
  own(directory: string): void {
    if (process.getuid!() === 0) chownSync(join(this.home, directory), 1337, 1337);
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }
}
