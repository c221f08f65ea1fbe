import { beforeEach, describe, expect, test } from "@jest/globals";
import { AgentId, ConvocateError, newSessionId, type SessionId } from "../../../runtime/domain/index.js";
import { SHAPES } from "../../output/shapes.js";
import { SessionReport } from "../../output/session-report.js";
import type { Fleet, FleetAgent, FleetCapacity, FleetSession } from "./at-shell.js";
import { drainAgent } from "./drain.js";
import { migrateOrphans } from "./migrate.js";

const GB = 1024 ** 3;

/** Agents whose room is counted in sessions of 1 GiB; a move to one that is full is refused, as by an agent. */
class FakeFleet implements Fleet {
  readonly all = new Map<string, { agent: FleetAgent; room: number }>();
  rows: FleetSession[] = [];
  /** Called after each move, for what happens meanwhile. */
  meanwhile: () => void = () => undefined;

  agent(name: string, room: number, change: Partial<FleetAgent> = {}): FleetAgent {
    const id = AgentId.parse(name.padEnd(8, "0").replace(/-/g, "0").slice(-8));
    const connection = { state: "connected" as const, since: "2026-01-01T00:00:00Z" };
    const own = {
      id,
      name,
      address: `${name}:222`,
      answers: true,
      connection,
      release: "3",
      image: null,
      labels: null,
      heard: null,
    };
    const agent = { ...own, ...change };
    this.all.set(name, { agent, room });
    return agent;
  }

  session(name: string, agent: string | null, change: object = {}): FleetSession {
    const row = SHAPES.session.parse({
      id: newSessionId(),
      name,
      agent_id: agent === null ? null : this.all.get(agent)!.agent.id,
      agent,
      reachable: true,
      port: 0,
      protocol: "tcp",
      dns_name: null,
      limits: { memory_bytes: GB },
      created_at: "2026-01-01T00:00:00Z",
      last_accessed_at: "2026-01-01T00:00:00Z",
      image: null,
      status:
        agent === null
          ? { state: "orphan", path: "/home/claude/x" }
          : { state: "stopped", exit_code: 0, oom_killed: false },
      ...change,
    });
    this.rows.push(row);
    return row;
  }

  agents = async (): Promise<FleetAgent[]> => [...this.all.values()].map(({ agent }) => agent);
  sessions = async (): Promise<FleetSession[]> => [...this.rows];

  capacity = async (): Promise<FleetCapacity[]> =>
    [...this.all.values()].map(({ agent, room }) => {
      const amount = (sessions: number) => ({ cpus: 1000, memory_bytes: sessions * GB, disk_bytes: 1e15 });
      const none = { cpus: 0, memory_bytes: 0, disk_bytes: 0 };
      const capacity = { allowed: amount(room), total: amount(room), pledged: { ...none, sessions: 0 } };
      return { agent_id: agent.id, agent: agent.name, capacity, error: null } as unknown as FleetCapacity;
    });

  move = async (id: SessionId, to: FleetAgent): Promise<string[]> => {
    const target = this.all.get(to.name)!;
    const row = this.rows.find((one) => one.id === id)!;
    if (target.room < 1) throw new ConvocateError("REFUSED", `agent ${to.name}: admission denied`);
    target.room -= 1;
    Object.assign(row, { agent: to.name, agent_id: to.id });
    this.meanwhile();
    return [];
  };

  readonly cordoned: string[] = [];
  cordon = async ({ name }: FleetAgent): Promise<void> => void this.cordoned.push(name);

  migrate = async (id: SessionId, to: FleetAgent, options: { port?: number } = {}): Promise<string[]> => {
    const row = this.rows.find((one) => one.id === id)!;
    if (row.port === 8080 && options.port === undefined)
      throw new ConvocateError("COMMAND_FAILED", "port 8080 is taken");
    Object.assign(row, {
      agent: to.name,
      agent_id: to.id,
      status: { state: "stopped", exit_code: null, oom_killed: false },
    });
    return [];
  };
}

let fleet: FakeFleet;
let report: SessionReport;
let lines: string[];
beforeEach(() => {
  fleet = new FakeFleet();
  lines = [];
  const take = (line: string): void => void lines.push(line);
  report = new SessionReport("a-1", { streams: { out: take, note: take } });
});
const where = (): Record<string, string | null> =>
  Object.fromEntries(fleet.rows.map(({ name, agent }) => [name, agent]));

describe("drain", () => {
  beforeEach(() => {
    fleet.agent("a-1", 10);
    fleet.agent("a-2", 2);
    fleet.agent("a-3", 3);
  });

  test("spreads: each session goes to who has the most room then, and others' sessions stay", async () => {
    for (const name of ["one", "two", "three"]) fleet.session(name, "a-1");
    fleet.session("else", "a-2");
    await drainAgent(fleet, { from: "a-1", to: null }, report);
    report.end("drained");
    expect(where()).toEqual({ one: "a-3", two: "a-2", three: "a-3", else: "a-2" });
    expect(fleet.cordoned).toEqual(["a-1"]);
    expect(lines).toEqual([
      "a-1: takes no new sessions now; `convocate settings a-1 cordoned=no` on the shell host ends that",
      "one: on its way (1 of 3)",
      "one: now on a-3",
      "two: on its way (2 of 3)",
      "two: now on a-2",
      "three: on its way (3 of 3)",
      "three: now on a-3",
      "a-1: drained (3 moved)",
    ]);
  });

  test("asks the next one when the roomiest does not take it", async () => {
    fleet.session("one", "a-1");
    const { move } = fleet;
    fleet.move = async (id, to) => {
      if (to.name === "a-3") throw new ConvocateError("COMMAND_FAILED", "agent a-3: port 80/tcp is taken");
      return await move(id, to);
    };
    await drainAgent(fleet, { from: "a-1", to: null }, report);
    expect(where()).toEqual({ one: "a-2" });
  });

  test("goes on past what cannot move, says why of each, and ends with exit code 1; run again it goes on", async () => {
    for (const name of ["one", "two", "three"]) fleet.session(name, "a-1");
    await drainAgent(fleet, { from: "a-1", to: "a-2" }, report);
    expect(where()).toEqual({ one: "a-2", two: "a-2", three: "a-1" });
    expect(lines).toContain("three: stays on a-1: agent a-2: admission denied");
    expect(() => report.end("drained")).toThrow(
      expect.objectContaining({ exitCode: 1, message: expect.stringContaining("2 moved, 1 left (three)") }),
    );
    const again = new SessionReport("a-1", { streams: { out: () => undefined, note: () => undefined } });
    await drainAgent(fleet, { from: "a-1", to: "a-3" }, again);
    again.end("drained");
    expect(where()).toMatchObject({ three: "a-3" });
  });

  test("takes what is made there meanwhile, too, by an agent too old to be cordoned", async () => {
    fleet.session("one", "a-1");
    fleet.cordon = async () => {
      throw new ConvocateError("BAD_USAGE", "no such setting");
    };
    fleet.meanwhile = () => {
      if (fleet.rows.length === 1) fleet.session("late", "a-1");
    };
    await drainAgent(fleet, { from: "a-1", to: null }, report);
    expect(where()).toEqual({ one: "a-3", late: "a-2" });
    expect(lines[0]).toBe("a-1: goes on taking new sessions: no such setting");
  });

  test("goes first to where a move was cut off", async () => {
    fleet.session("one", "a-1", { moved_to: fleet.all.get("a-2")!.agent.id });
    await drainAgent(fleet, { from: "a-1", to: null }, report);
    expect(where()).toEqual({ one: "a-2" });
  });

  test("stops on Ctrl-C, and says nothing of sessions that it did not come to", async () => {
    fleet.session("one", "a-1");
    fleet.session("two", "a-1");
    fleet.move = async () => {
      throw new ConvocateError("INTERRUPTED", "interrupted");
    };
    await expect(drainAgent(fleet, { from: "a-1", to: null }, report)).rejects.toMatchObject({ code: "INTERRUPTED" });
    expect(lines.slice(1)).toEqual(["one: on its way (1 of 2)"]);
  });

  test.each([
    ["a-1", /^a-1 does not answer the shell host \(refused\); its sessions cannot be moved: .*doctor --host a-1/],
    ["a-2", /^a-2 does not answer the shell host \(refused\); nothing was moved: .*doctor --host a-2/],
  ])("moves nothing while %s does not answer, and says what to do", async (silent, words) => {
    fleet.session("one", "a-1");
    const connection = { state: "connecting" as const, since: "2026-01-01T00:00:00Z", error: "refused" };
    fleet.agent(silent, 5, { answers: false, connection });
    await expect(drainAgent(fleet, { from: "a-1", to: "a-2" }, report)).rejects.toMatchObject({
      exitCode: 3,
      message: expect.stringMatching(words),
    });
    expect(where()).toEqual({ one: "a-1" });
  });

  test("with --json prints one object, with what is left among it", async () => {
    const one = fleet.session("one", "a-1");
    fleet.agent("a-2", 0);
    let json = "";
    report = new SessionReport("a-1", {
      json: true,
      streams: { out: (text) => (json += text), note: () => undefined },
    });
    await drainAgent(fleet, { from: "a-1", to: "a-2" }, report);
    expect(() => report.end("drained")).toThrow();
    expect(JSON.parse(json)).toEqual({
      host: "a-1",
      moved: [],
      left: [{ id: one.id, name: "one", why: "agent a-2: admission denied" }],
    });
  });
});

describe("migrate-session", () => {
  beforeEach(() => {
    fleet.agent("a-1", 10);
    fleet.agent("a-2", 2);
  });

  test("--all takes every orphan and no session, past those that cannot go", async () => {
    fleet.session("old", null);
    fleet.session("port", null, { port: 8080 });
    fleet.session("older", null);
    fleet.session("one", "a-2");
    await migrateOrphans(fleet, { to: "a-1", session: null }, report);
    expect(where()).toEqual({ old: "a-1", port: null, older: "a-1", one: "a-2" });
    expect(() => report.end("done")).toThrow(/2 moved, 1 left \(port\)/);
  });

  test("takes the one that is meant, by id or name, and has done so when run again", async () => {
    const old = fleet.session("old", null, { port: 8080 });
    fleet.session("older", null);
    await migrateOrphans(fleet, { to: "a-1", session: old.id, port: -1 }, report);
    await migrateOrphans(fleet, { to: "a-1", session: "old" }, report);
    report.end("done");
    expect(where()).toEqual({ old: "a-1", older: null });
  });

  test("says where one is that is no orphan, which orphans there are, and which of two is meant", async () => {
    fleet.session("one", "a-2");
    fleet.session("old", null);
    fleet.session("twin", null);
    fleet.session("twin", null);
    const migrate = (session: string): Promise<void> => migrateOrphans(fleet, { to: "a-1", session }, report);
    await expect(migrate("one")).rejects.toMatchObject({
      code: "SESSION_EXISTS",
      message: expect.stringContaining("a-2"),
    });
    await expect(migrate("none")).rejects.toMatchObject({
      code: "SESSION_NOT_FOUND",
      message: expect.stringMatching(/it has old \(/),
    });
    await expect(migrate("twin")).rejects.toMatchObject({ code: "AMBIGUOUS_NAME" });
  });
});
