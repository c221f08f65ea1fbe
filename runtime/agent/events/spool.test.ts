import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { ManualClock } from "../../../test/agent/manual-clock.js";
import { AgentId, newSessionId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { Spool } from "./spool.js";

let root: string;
let path: string;
const opened: Spool[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-spool-"));
  path = join(root, "events/spool.db");
});
afterEach(() => {
  for (const spool of opened.splice(0)) spool.close();
  rmSync(root, { recursive: true });
});

function open(limit = 10_000, log = silentLog): Spool {
  const spool = new Spool({ path, agentId: AgentId.parse("abcd1234"), clock: new ManualClock(), log, limit });
  opened.push(spool);
  return spool;
}
const fill = (spool: Spool, count: number): void => {
  for (let i = 0; i < count; i++) spool.append("container.created", null, { i });
};
const seqs = (spool: Spool): number[] => spool.after(0, 1_000).map((event) => event.seq);

describe("Spool", () => {
  test("numbers events from 1 without gaps, and goes on after a restart, in the same stream", () => {
    const first = open();
    const id = newSessionId();
    first.append("container.created", id, { name: "one" });
    fill(first, 2);
    first.close();
    const second = open();
    fill(second, 1);
    expect(second.stream).toBe(first.stream);
    expect(seqs(second)).toEqual([1, 2, 3, 4]);
    expect(second.after(0, 1)[0]).toEqual({
      seq: 1,
      stream: second.stream,
      type: "container.created",
      agent_id: "abcd1234",
      session_id: id,
      timestamp: "2026-11-21T12:00:00.000Z",
      data: { name: "one" },
    });
  });

  test("forgets what was acknowledged, and gives no number twice when all of it was", () => {
    const first = open();
    fill(first, 5);
    first.acknowledge(3);
    expect(seqs(first)).toEqual([4, 5]);
    first.acknowledge(99);
    expect(first.size).toBe(0);
    first.close();
    const second = open();
    expect(second.lastSeq).toBe(5);
    fill(second, 1);
    expect(seqs(second)).toEqual([6]);
  });

  test("hands out events after a number, so many at a time", () => {
    const spool = open();
    fill(spool, 10);
    expect(spool.after(4, 3).map((event) => event.seq)).toEqual([5, 6, 7]);
  });

  test("when full lets the oldest go, and one event with the number of the last of them says how many", () => {
    const spool = open(5);
    fill(spool, 5);
    expect(spool.after(0, 1)[0]?.type).toBe("container.created");
    fill(spool, 1);
    expect(spool.size).toBe(5);
    expect(spool.after(0, 9).map(({ seq, type }) => `${seq} ${type}`)).toEqual([
      "2 spool.dropped",
      "3 container.created",
      "4 container.created",
      "5 container.created",
      "6 container.created",
    ]);
    expect(spool.after(0, 1)[0]?.data).toEqual({ count: 2 });
    fill(spool, 20);
    expect(seqs(spool)).toEqual([22, 23, 24, 25, 26]);
    expect(spool.after(0, 1)[0]).toMatchObject({ type: "spool.dropped", data: { count: 22 } });
    spool.close();
    expect(open(5).size).toBe(5);
  });

  test("moves a file that is no database aside, says so, and begins a new stream", () => {
    const before = open();
    fill(before, 3);
    before.close();
    writeFileSync(path, "this is no database, it is a line of text that goes on for a while");
    for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix, { force: true });
    const said: string[] = [];
    const after = open(10, { ...silentLog, error: (_fields, message) => void said.push(message) });
    expect(said).toEqual([expect.stringContaining("moved aside")]);
    expect(existsSync(`${path}.corrupt`)).toBe(true);
    expect(after.stream).not.toBe(before.stream);
    fill(after, 1);
    expect(seqs(after)).toEqual([1]);
  });

  test("begins a new stream over a database that another program made", () => {
    open().close();
    const other = new DatabaseSync(path);
    other.exec("DROP TABLE events; CREATE TABLE events (what TEXT); DELETE FROM meta WHERE key = 'stream'");
    other.exec("UPDATE meta SET value = 'many' WHERE key = 'last'");
    other.close();
    fill(open(), 1);
    expect(existsSync(`${path}.corrupt`)).toBe(true);
  });

  test("is left as it is when it cannot be opened for another reason: another process has it, or the disk is full", () => {
    const first = open();
    fill(first, 3);
    // What a full disk could not hold.
    expect(existsSync(`${path}-shm`)).toBe(false);
    expect(() => open()).toThrow(expect.objectContaining({ errcode: 5 }));
    expect(existsSync(`${path}.corrupt`)).toBe(false);
    first.close();
    const second = open();
    expect(second.stream).toBe(first.stream);
    expect(seqs(second)).toEqual([1, 2, 3]);
  });

  test("keeps what was observed of a container together with the event that tells of it", () => {
    const first = open();
    const [one, two] = [newSessionId(), newSessionId()];
    const running = { containerId: "c1", running: true, startedAt: "2026-11-21T12:00:00.000Z" };
    first.append("container.started", one, {}, running);
    first.observe(two, { ...running, containerId: "c2", running: false });
    first.close();
    const second = open();
    expect(second.observed().get(one)).toEqual(running);
    expect(second.observed().get(two)?.running).toBe(false);
    second.observe(two, null);
    expect([...second.observed().keys()]).toEqual([one]);
  });

  test("tells its listener of each append", () => {
    const spool = open();
    let told = 0;
    spool.onAppend(() => (told += 1));
    fill(spool, 3);
    expect(told).toBe(3);
  });

  test("does not throw when it cannot be written: the event is lost and said to be", () => {
    const said: string[] = [];
    const spool = open(10, { ...silentLog, error: (_fields, message) => void said.push(message) });
    spool.close();
    fill(spool, 1);
    expect(said).toEqual([expect.stringContaining("is lost")]);
  });
});
