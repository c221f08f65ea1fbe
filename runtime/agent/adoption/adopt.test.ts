import { execFileSync } from "node:child_process";
import {
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { AgentId, agentPaths, newSessionId, RESERVED_PORTS } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { systemClock } from "../clock.js";
import { readIdentity, type AgentPaths } from "../config.js";
import { Spool, SPOOL_FILE } from "../events/spool.js";
import { LockFiles } from "../sessions/lock-files.js";
import { Locks } from "../sessions/locks.js";
import { MetadataStore } from "../sessions/metadata.js";
import { adoptAtStart } from "./at-start.js";
import { adoptSessions, type Adoption } from "./install.js";
import type { Service } from "./service.js";

// Hundreds of runs, on machines that do other things too.
jest.setTimeout(120_000);

let root: string;
let home: string;
let paths: AgentPaths;
let calls: string[];
let running: boolean;
let onStop: () => void;

const service: Service = {
  stop: async () => {
    calls.push("stop");
    onStop();
    return running;
  },
  restart: async () => void calls.push("restart"),
};

function settings(change: Record<string, unknown> = {}): void {
  const [uid, gid] = [process.getuid!() || 1337, process.getgid!() || 1337];
  writeFileSync(paths.settings, JSON.stringify({ name: "a", uid, gid, home, ...change }));
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-adopt-"));
  home = join(root, "home");
  paths = {
    ...agentPaths,
    agentId: join(root, "agent-id"),
    settings: join(root, "settings.json"),
    sessions: join(root, "sessions"),
    events: join(root, "events"),
    locks: join(root, "locks"),
  };
  mkdirSync(home);
  writeFileSync(paths.agentId, "abcd1234\n");
  settings();
  calls = [];
  running = true;
  onStop = () => undefined;
});
afterEach(() => rmSync(root, { recursive: true }));

const former = (uuid: string) => ({
  uuid,
  name: "old",
  created_at: "2025-01-02T03:04:05.123456789+01:00",
  last_accessed: "2025-02-03T04:05:06Z",
  port: 0,
  protocol: "tcp",
  dns_name: "",
});

/** A directory as an earlier release left it; as root it is given to the service user. */
function leave(change: Record<string, unknown> = {}, directory: string = newSessionId()): string {
  mkdirSync(join(home, directory));
  writeFileSync(join(home, directory, "session.json"), JSON.stringify({ ...former(directory), ...change }));
  own(directory);
  return directory;
}

function own(directory: string): void {
  if (process.getuid!() === 0) chownSync(join(home, directory), 1337, 1337);
}

const adopt = (): Promise<Adoption> => adoptSessions({ log: silentLog, paths, service });
const written = (): string[] => (readdirSync(root).includes("sessions") ? readdirSync(paths.sessions) : []).sort();
/** Type and session of what waits to be told to the shell. */
function told(): string[] {
  using spool = new Spool({
    path: join(paths.events, SPOOL_FILE),
    agentId: AgentId.parse("abcd1234"),
    clock: systemClock,
    log: silentLog,
  });
  return spool.after(0, 100).map(({ type, session_id }) => `${type} ${session_id ?? ""}`);
}
const reason = ({ refused }: Adoption, directory: string): string =>
  refused.find((one) => one.directory === directory)?.reason ?? "not refused";

describe("the agent's start", () => {
  const start = async (): Promise<{ events: string[]; logged: unknown[]; store: MetadataStore }> => {
    const events: string[] = [];
    const logged: unknown[] = [];
    const note = (fields: object, message: string): void => void logged.push({ ...fields, message });
    const log = { info: note, warn: note, error: note };
    const store = await MetadataStore.open(paths.sessions, silentLog);
    mkdirSync(paths.sessions, { recursive: true });
    const locks = new Locks(systemClock, 100, new LockFiles(paths.locks, silentLog));
    const { settings } = await readIdentity(paths);
    await adoptAtStart(settings, {
      store,
      locks,
      events: { emit: (type, id) => void events.push(`${type} ${id ?? ""}`) },
      log,
    });
    return { events, logged, store };
  };

  test("adopts, tells of each, and logs how many and what it refused", async () => {
    const good = leave();
    const bad = leave({ port: 22 });
    const { events, logged, store } = await start();
    expect(store.all().map(({ id }) => id)).toEqual([good]);
    expect(events).toEqual([`container.created ${good}`]);
    expect(logged).toEqual([
      { adopted: 1, message: expect.stringContaining("adopted") },
      { directory: bad, reason: expect.stringMatching(/^port in/), message: "not adopted" },
    ]);
    expect((await start()).events).toEqual([]);
  });

  test("logs twenty refusals and how many there were, whatever lies there", async () => {
    for (let at = 0; at < 25; at++) mkdirSync(join(home, newSessionId()));
    const { logged } = await start();
    expect(logged).toHaveLength(21);
    expect(logged.at(-1)).toMatchObject({ refused: 25 });
  });

  test("goes on when what was left cannot be looked at", async () => {
    rmSync(home, { recursive: true });
    writeFileSync(home, "");
    expect((await start()).logged).toEqual([{ error: expect.stringContaining(home), message: expect.any(String) }]);
  });
});

describe("install", () => {
  test("adopts a session with what the former file says, and closes its home to others", async () => {
    const id = leave({ port: 1003, protocol: "udp", dns_name: "Old.Example", unknown: { more: 1 } });
    expect(await adopt()).toEqual({ adopted: [{ id, name: "old" }], known: 0, refused: [] });
    const store = await MetadataStore.open(paths.sessions, silentLog);
    expect(store.all()).toMatchObject([
      {
        id,
        name: "old",
        port: 1003,
        protocol: "udp",
        dns_name: "old.example",
        created_at: "2025-01-02T02:04:05.123Z",
        last_accessed_at: "2025-02-03T04:05:06.000Z",
        started_before: true,
        docker: false,
        public: false,
      },
    ]);
    expect(statSync(join(home, id)).mode & 0o777).toBe(0o700);
    expect(readFileSync(join(home, id, "session.json"), "utf8")).toContain(id);
  });

  test("tells the shell of each session that it adopts, once", async () => {
    const ids = [leave(), leave()];
    await adopt();
    await adopt();
    expect(told().sort()).toEqual(ids.map((id) => `container.created ${id}`).sort());
    expect(readdirSync(paths.locks)).toEqual([]);
  });

  test("leaves metadata alone that it cannot read: a newer release's, or damaged", async () => {
    const id = leave();
    mkdirSync(paths.sessions);
    writeFileSync(join(paths.sessions, `${id}.json`), "{");
    const result = await adopt();
    expect(reason(result, id)).toMatch(/metadata here cannot be read/);
    expect(readFileSync(join(paths.sessions, `${id}.json`), "utf8")).toBe("{");
  });

  test("run again changes nothing, and leaves a running agent alone", async () => {
    leave();
    await adopt();
    expect(calls).toEqual(["stop", "restart"]);
    const before = written().map((file) => readFileSync(join(paths.sessions, file), "utf8"));
    expect(await adopt()).toEqual({ adopted: [], known: 1, refused: [] });
    expect(written().map((file) => readFileSync(join(paths.sessions, file), "utf8"))).toEqual(before);
    expect(calls).toEqual(["stop", "restart"]);
  });

  test("does not start an agent that did not run, and starts one again also when writing failed", async () => {
    running = false;
    leave();
    await adopt();
    expect(calls).toEqual(["stop"]);
    running = true;
    leave();
    rmSync(paths.sessions, { recursive: true });
    writeFileSync(paths.sessions, "in the way");
    await expect(adopt()).rejects.toThrow();
    expect(calls).not.toContain("restart");
    rmSync(paths.sessions);
    onStop = () => writeFileSync(paths.sessions, "in the way");
    await expect(adopt()).rejects.toThrow();
    expect(calls.at(-1)).toBe("restart");
  });

  test("passes by what was never a session", async () => {
    mkdirSync(join(home, ".skel"));
    mkdirSync(join(home, "projects"));
    writeFileSync(join(home, "session.json"), "{}");
    writeFileSync(join(home, "notes"), "");
    expect(await adopt()).toEqual({ adopted: [], known: 0, refused: [] });
  });

  test("refuses false ones, each with its reason, and adopts the others", async () => {
    const good = leave();
    const another = leave({ uuid: newSessionId() });
    const shouting = leave({}, newSessionId().toUpperCase());
    const named = leave({}, "my-session");
    const link = newSessionId();
    symlinkSync(join(home, good), join(home, link));
    const bare = newSessionId();
    mkdirSync(join(home, bare));
    own(bare);
    const pipe = newSessionId();
    mkdirSync(join(home, pipe));
    execFileSync("mkfifo", [join(home, pipe, "session.json")]);
    own(pipe);
    const linked = newSessionId();
    mkdirSync(join(home, linked));
    symlinkSync(join(home, good, "session.json"), join(home, linked, "session.json"));
    own(linked);
    const huge = newSessionId();
    mkdirSync(join(home, huge));
    writeFileSync(join(home, huge, "session.json"), " ".repeat(70_000));
    own(huge);
    const text = newSessionId();
    mkdirSync(join(home, text));
    writeFileSync(join(home, text, "session.json"), "{");
    own(text);
    const file = newSessionId();
    writeFileSync(join(home, file), "");

    const result = await adopt();
    expect(result.adopted.map(({ id }) => id)).toEqual([good]);
    expect(reason(result, another)).toMatch(/is of another session/);
    expect(reason(result, shouting)).toMatch(/no canonical lower-case UUID/);
    expect(reason(result, named)).toMatch(/no canonical lower-case UUID/);
    expect(reason(result, link)).toMatch(/must not be a link/);
    expect(reason(result, file)).toMatch(/no directory/);
    expect(reason(result, bare)).toMatch(/has no session.json/);
    expect(reason(result, pipe)).toMatch(/is no file/);
    expect(reason(result, linked)).toMatch(/is a link/);
    expect(reason(result, huge)).toMatch(/over 65536 bytes/);
    expect(reason(result, text)).toMatch(/no JSON object/);
    expect(result.refused).toHaveLength(10);
    expect(written()).toEqual([`${good}.json`]);
  });

  test.each([
    [{ name: "-rf" }, /^name in /],
    [{ name: "a;b" }, /^name in /],
    [{ name: "$(id)\n" }, /^name in /],
    [{ port: 22 }, /^port in .*host's own/],
    [{ port: 65536 }, /^port in /],
    [{ port: 1.5 }, /^port in /],
    [{ port: "80" }, /^port in /],
    [{ protocol: "sctp" }, /^protocol in /],
    [{ dns_name: "-x.example" }, /^dns_name in /],
    [{ dns_name: "a..b" }, /^dns_name in /],
    [{ created_at: "yesterday" }, /^created_at in /],
    [{ uuid: "../../etc" }, /^uuid in /],
    [{ uuid: null }, /^uuid in /],
  ])("refuses %j", async (change, expected) => {
    const directory = leave(change);
    expect(reason(await adopt(), directory)).toMatch(expected);
    expect(calls).toEqual([]);
  });

  test("refuses a directory that is not the service user's", async () => {
    const directory = leave();
    settings({ uid: 4242 });
    expect(reason(await adopt(), directory)).toMatch(
      /belongs to uid \d+, not to the service user \(4242\): .*chown -R 4242:/,
    );
  });

  test("gives a port or a DNS name that two want to the older one, and to one that is there already", async () => {
    const older = leave({ port: 1001, dns_name: "web", created_at: "2024-01-01T00:00:00Z" });
    const younger = leave({ port: 1001 });
    const same = leave({ dns_name: "WEB" });
    const udp = leave({ port: 1001, protocol: "udp" });
    const first = await adopt();
    expect(first.adopted.map(({ id }) => id).sort()).toEqual([older, udp].sort());
    expect(reason(first, younger)).toMatch(/port 1001\/tcp belongs to another session/);
    expect(reason(first, same)).toMatch(/DNS name web belongs to session old/);
    expect((await adopt()).refused).toEqual(first.refused);
  });

  test("whatever a session.json says, what is adopted can be read again and keeps the rules", async () => {
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom("tcp", "udp", "", "web.example", "2025-01-01T00:00:00Z", -1, 22, 70000),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          name: value,
          port: value,
          protocol: value,
          dns_name: value,
          created_at: value,
          last_accessed: value,
        }),
        fc.subarray(["name", "port", "protocol", "dns_name", "created_at", "last_accessed"] as const),
        async (odd, fields) => {
          rmSync(home, { recursive: true });
          rmSync(paths.sessions, { recursive: true, force: true });
          mkdirSync(home);
          const id = leave(Object.fromEntries(fields.map((field) => [field, odd[field]])));
          const { adopted, refused } = await adopt();
          expect(adopted.length + refused.length).toBe(1);
          const lost: unknown[] = [];
          const log = { ...silentLog, error: (fields: unknown) => void lost.push(fields) };
          const all = (await MetadataStore.open(paths.sessions, log)).all();
          expect(lost).toEqual([]);
          expect(all.map((one) => one.id)).toEqual(adopted.map((one) => one.id));
          for (const one of all) {
            expect(one.id).toBe(id);
            expect(one.name).toMatch(/^\w[\w-]*$/);
            expect(RESERVED_PORTS).not.toContain(one.port);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
