import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { FormerHost } from "../../../test/agent/former-host.js";
import { AgentId, newSessionId, RESERVED_PORTS } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { systemClock } from "../clock.js";
import { Spool, SPOOL_FILE } from "../events/spool.js";
import { MetadataStore } from "../sessions/metadata.js";
import { adoptSessions, type Adoption } from "./install.js";
import type { Service } from "./service.js";

// Hundreds of runs, on machines that do other things too.
jest.setTimeout(120_000);

let host: FormerHost;
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

beforeEach(() => {
  host = new FormerHost();
  calls = [];
  running = true;
  onStop = () => undefined;
});
afterEach(() => host[Symbol.dispose]());

const adopt = (): Promise<Adoption> => adoptSessions({ log: silentLog, paths: host.paths, service });
const written = (): string[] =>
  (readdirSync(host.root).includes("sessions") ? readdirSync(host.paths.sessions) : []).sort();
/** Type and session of what waits to be told to the shell. */
function told(): string[] {
  using spool = new Spool({
    path: join(host.paths.events, SPOOL_FILE),
    agentId: AgentId.parse("abcd1234"),
    clock: systemClock,
    log: silentLog,
  });
  return spool.after(0, 100).map(({ type, session_id }) => `${type} ${session_id ?? ""}`);
}
const reason = ({ refused }: Adoption, directory: string): string =>
  refused.find((one) => one.directory === directory)?.reason ?? "not refused";

test("adopts a session with what the former file says, and closes its home to others", async () => {
  const id = host.leave({ port: 1003, protocol: "udp", dns_name: "Old.Example", unknown: { more: 1 } });
  expect(await adopt()).toEqual({ adopted: [{ id, name: "old" }], known: 0, refused: [] });
  const store = await MetadataStore.open(host.paths.sessions, silentLog);
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
  expect(statSync(join(host.home, id)).mode & 0o777).toBe(0o700);
  expect(readFileSync(join(host.home, id, "session.json"), "utf8")).toContain(id);
});

test("tells the shell of each session that it adopts, once", async () => {
  const ids = [host.leave(), host.leave()];
  await adopt();
  await adopt();
  expect(told().sort()).toEqual(ids.map((id) => `container.created ${id}`).sort());
  expect(readdirSync(host.paths.locks)).toEqual([]);
});

test("leaves metadata alone that it cannot read: a newer release's, or damaged", async () => {
  const id = host.leave();
  mkdirSync(host.paths.sessions);
  writeFileSync(join(host.paths.sessions, `${id}.json`), "{");
  const result = await adopt();
  expect(reason(result, id)).toMatch(/metadata here cannot be read/);
  expect(readFileSync(join(host.paths.sessions, `${id}.json`), "utf8")).toBe("{");
});

test("leaves port and DNS name to a session that another agent sent and that waits here", async () => {
  const directory = host.leave({ port: 8080 });
  const [id, transfer_id, since] = [newSessionId(), randomUUID(), new Date(0).toISOString()];
  const session = { id, name: "x", port: 8080, protocol: "tcp", dns_name: null, limits: {}, created_at: since };
  mkdirSync(host.paths.transfers);
  writeFileSync(
    join(host.paths.transfers, `${id}.json`),
    JSON.stringify({
      state: "waiting",
      transfer_id,
      since,
      session: { ...session, last_accessed_at: since, request_id: "", started_before: false },
    }),
  );
  expect(reason(await adopt(), directory)).toMatch(/^port 8080\/tcp belongs to another session/);
});

test("run again changes nothing, and leaves a running agent alone", async () => {
  host.leave();
  await adopt();
  expect(calls).toEqual(["stop", "restart"]);
  const before = written().map((file) => readFileSync(join(host.paths.sessions, file), "utf8"));
  expect(await adopt()).toEqual({ adopted: [], known: 1, refused: [] });
  expect(written().map((file) => readFileSync(join(host.paths.sessions, file), "utf8"))).toEqual(before);
  expect(calls).toEqual(["stop", "restart"]);
});

test("does not start an agent that did not run, and starts one again also when writing failed", async () => {
  running = false;
  host.leave();
  await adopt();
  expect(calls).toEqual(["stop"]);
  running = true;
  host.leave();
  rmSync(host.paths.sessions, { recursive: true });
  writeFileSync(host.paths.sessions, "in the way");
  await expect(adopt()).rejects.toThrow();
  expect(calls).not.toContain("restart");
  rmSync(host.paths.sessions);
  onStop = () => writeFileSync(host.paths.sessions, "in the way");
  await expect(adopt()).rejects.toThrow();
  expect(calls.at(-1)).toBe("restart");
});

test("passes by what was never a session", async () => {
  mkdirSync(join(host.home, ".skel"));
  mkdirSync(join(host.home, "projects"));
  writeFileSync(join(host.home, "session.json"), "{}");
  writeFileSync(join(host.home, "notes"), "");
  expect(await adopt()).toEqual({ adopted: [], known: 0, refused: [] });
});

test("refuses false ones, each with its reason, and adopts the others", async () => {
  const good = host.leave();
  const another = host.leave({ uuid: newSessionId() });
  const shouting = host.leave({}, newSessionId().toUpperCase());
  const named = host.leave({}, "my-session");
  const link = newSessionId();
  symlinkSync(join(host.home, good), join(host.home, link));
  const bare = host.leaveOdd(() => undefined);
  const pipe = host.leaveOdd((folder) => void execFileSync("mkfifo", [join(folder, "session.json")]));
  const linked = host.leaveOdd((folder) =>
    symlinkSync(join(host.home, good, "session.json"), join(folder, "session.json")),
  );
  const huge = host.leaveOdd((folder) => writeFileSync(join(folder, "session.json"), " ".repeat(70_000)));
  const text = host.leaveOdd((folder) => writeFileSync(join(folder, "session.json"), "{"));
  const file = newSessionId();
  writeFileSync(join(host.home, file), "");

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
  const directory = host.leave(change);
  expect(reason(await adopt(), directory)).toMatch(expected);
  expect(calls).toEqual([]);
});

test("refuses a directory that is not the service user's", async () => {
  const directory = host.leave();
  host.settings({ uid: 4242 });
  expect(reason(await adopt(), directory)).toMatch(
    /belongs to uid \d+, not to the service user \(4242\): .*chown -R 4242:/,
  );
});

test("refuses a port that a service of this host has by its settings", async () => {
  host.settings({ reserved_ports: [22, 2222] });
  const [one, other] = [host.leave({ port: 2222 }), host.leave({ port: 2223 })];
  const result = await adopt();
  expect(reason(result, one)).toMatch(/port 2222\/tcp belongs to another session or the host itself/);
  expect(result.adopted.map(({ id }) => id)).toEqual([other]);
});

test("gives a port or a DNS name that two want to the older one, and to one that is there already", async () => {
  const older = host.leave({ port: 1001, dns_name: "web", created_at: "2024-01-01T00:00:00Z" });
  const younger = host.leave({ port: 1001 });
  const same = host.leave({ dns_name: "WEB" });
  const udp = host.leave({ port: 1001, protocol: "udp" });
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
        rmSync(host.home, { recursive: true });
        rmSync(host.paths.sessions, { recursive: true, force: true });
        mkdirSync(host.home);
        const id = host.leave(Object.fromEntries(fields.map((field) => [field, odd[field]])));
        const { adopted, refused } = await adopt();
        expect(adopted.length + refused.length).toBe(1);
        const lost: unknown[] = [];
        const log = { ...silentLog, error: (fields: unknown) => void lost.push(fields) };
        const all = (await MetadataStore.open(host.paths.sessions, log)).all();
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
