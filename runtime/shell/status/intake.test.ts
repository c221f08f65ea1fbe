import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../../../test/support/eventually.js";
import { tempDir } from "../../../test/support/keys.js";
import { AgentId, type AgentEvent, type FeedLine } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { Intake, type Source } from "./intake.js";
import { Presence } from "./presence.js";
import { HISTORY_MS, StatusStore } from "./store.js";

const A = AgentId.parse("agentaaa");

/** A store on a disk that can be filled. */
class FullStore extends StatusStore {
  full = false;
  override transaction<T>(work: () => T, now?: Date): T {
    if (this.full) throw new Error("database or disk is full");
    return super.transaction(work, now);
  }
}

let cleanup: AsyncDisposableStack;
let path: string;
let store: FullStore;
let lines: FeedLine[];
let intake: Intake;

beforeEach(() => {
  cleanup = new AsyncDisposableStack();
  path = join(cleanup.use(tempDir()).path, "status.db");
  store = cleanup.use(new FullStore(path));
  lines = [];
  const presence = new Presence([]);
  presence.setRoster(new Set([A]));
  intake = new Intake({ store, presence, publish: (line) => void lines.push(line), log: silentLog });
  cleanup.use(intake);
});
afterEach(() => cleanup.disposeAsync());

function event(seq: number, change: Partial<AgentEvent> = {}): AgentEvent {
  const timestamp = "2026-11-21T00:00:00.000Z";
  return { seq, stream: "s", type: "container.started", agent_id: A, timestamp, data: {}, ...change };
}

function source(): Source & { acks: number[] } {
  const acks: number[] = [];
  return { agentId: A, acks, committed: (seq) => void acks.push(seq) };
}

const published = (): number[] => lines.flatMap((line) => (line.kind === "event" ? [line.event.seq] : []));

describe("a full disk", () => {
  test("acknowledges nothing, goes on telling who is alive, says so, and keeps all when there is room again", async () => {
    const from = source();
    await intake.add(from, event(1), 100);
    await eventually("first", () => from.acks.includes(1));
    store.full = true;
    await intake.add(from, event(2), 100);
    await eventually("failing", () => intake.storeState.state === "failing");
    const data = {
      name: "one",
      release: "3.0.0",
      image: null,
      uptime_s: 1,
      sessions: { total: 0, running: 0, attached: 0 },
    };
    await intake.add(from, event(2, { type: "agent.heartbeat", data }), 100);
    expect(lines.filter((line) => line.kind === "agent").at(-1)).toMatchObject({ agent: { name: "one" } });
    expect(lines).toContainEqual({ kind: "store", store: expect.objectContaining({ state: "failing" }) });
    await intake.add(from, event(3), 100);
    expect(from.acks).toEqual([1]);
    expect(published()).toEqual([1]);

    store.full = false;
    await eventually("caught up", () => from.acks.at(-1) === 3);
    expect(published()).toEqual([1, 2, 3]);
    expect(intake.storeState).toEqual({ state: "ok" });
    expect(store.agents()).toMatchObject([{ agent_id: A, name: "one" }]);
  });

  test("what waits is bounded, and what a channel that ended has left is let go: its agent sends it again", async () => {
    store.full = true;
    const from = source();
    let taken = 0;
    const ended = new AbortController();
    const feeding = (async () => {
      while (!ended.signal.aborted) {
        await intake.add(from, event(taken + 1), 1024 * 1024, ended.signal);
        taken += 1;
      }
    })();
    await eventually("three taken, the fourth waits", () => taken === 3);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(taken).toBe(3);
    ended.abort();
    await feeding;
    intake.flush(from);

    store.full = false;
    const again = source();
    for (let seq = 1; seq <= 4; seq += 1) await intake.add(again, event(seq), 100);
    await eventually("sent again", () => again.acks.at(-1) === 4);
    expect(published()).toEqual([1, 2, 3, 4]);
  });
});

describe("the history", () => {
  const at = (ms: number): string => new Date(ms).toISOString();
  const NOW = Date.parse("2026-11-21T00:00:00Z");
  const cursors = (request: Parameters<StatusStore["history"]>[0]): number[] =>
    store.history(request).events.map(({ event: { seq } }) => seq);

  test("is asked for by time, in pages, or for its newest", () => {
    store.transaction(() => {
      for (let seq = 1; seq <= 5; seq += 1) store.addEvent(event(seq), at(NOW + seq * 1000));
    }, new Date(NOW));
    expect(cursors({ limit: 2 })).toEqual([4, 5]);
    expect(cursors({ since: at(NOW + 3000), limit: 10 })).toEqual([3, 4, 5]);
    expect(cursors({ since: "2026-11-21T01:00:03+01:00", limit: 10 })).toEqual([3, 4, 5]);
    const first = store.history({ after: 0, limit: 3 });
    expect(first.more).toBe(true);
    expect(cursors({ after: first.events.at(-1)!.cursor, limit: 3 })).toEqual([4, 5]);
    expect(store.history({ after: 0, limit: 5 }).more).toBe(false);
  });

  test("a page of big events ends early and says that there is more", () => {
    const filler = "x".repeat(300_000);
    store.transaction(() => {
      for (let seq = 1; seq <= 3; seq += 1) store.addEvent(event(seq, { data: { filler } }), at(NOW));
    }, new Date(NOW));
    const page = store.history({ after: 0, limit: 10 });
    expect(page.events).toHaveLength(1);
    expect(page.more).toBe(true);
  });

  test("forgets what is older than its age, and still knows it as a duplicate", () => {
    store.transaction(() => {
      for (let seq = 1; seq <= 3; seq += 1) store.addEvent(event(seq), at(NOW));
    }, new Date(NOW));
    const later = new Date(NOW + HISTORY_MS + 1);
    const again = store.transaction(() => {
      store.addEvent(event(4), later.toISOString());
      return store.addEvent(event(2), later.toISOString());
    }, later);
    expect(cursors({ after: 0, limit: 10 })).toEqual([4]);
    expect(again).toEqual({ kind: "duplicate" });
    expect(store.transaction(() => store.addEvent(event(1), later.toISOString()), later)).toEqual({
      kind: "duplicate",
    });
  });

  test("a file that is no database is put aside, and a new one is begun", () => {
    const other = `${path}.other`;
    writeFileSync(other, "not a database at all, but long enough to be taken for one".repeat(100));
    using broken = new StatusStore(other);
    broken.transaction(() => broken.addEvent(event(1), at(NOW)), new Date(NOW));
    expect(broken.countEvents()).toBe(1);
  });
});
