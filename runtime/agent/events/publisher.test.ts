import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duplexPair, type Duplex } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { eventually } from "../../../test/support/eventually.js";
import { AgentEvent, AgentId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { readLines } from "../../protocol/ndjson.js";
import type { SshConnection } from "../../protocol/ssh/types.js";
import { systemClock } from "../clock.js";
import { Publisher } from "./publisher.js";
import { Spool } from "./spool.js";

const agentId = AgentId.parse("abcd1234");
let root: string;
let spool: Spool;
let publisher: Publisher;
let shell: FakeShell;

/** The other end: takes events, acknowledges as far as a test lets it, and can be away. */
class FakeShell {
  up = true;
  acknowledge = true;
  readonly heard: AgentEvent[] = [];
  #connection: { end: Duplex; drop: () => void } | null = null;

  dial = async (): Promise<SshConnection> => {
    if (!this.up) throw new Error("refused");
    const [near, far] = duplexPair();
    const closed = Promise.withResolvers<undefined>();
    const drop = (): void => {
      near.destroy();
      far.destroy();
      closed.resolve(undefined);
    };
    this.#connection = { end: far, drop };
    void this.#read(far);
    return {
      openSubsystem: async () => ({
        stream: near,
        setWindow: () => undefined,
        closed: closed.promise.then(() => null),
        close: drop,
      }),
      closed: closed.promise,
      close: drop,
      [Symbol.asyncDispose]: async () => drop(),
    };
  };

  drop(): void {
    this.#connection?.drop();
  }

  ack(seq: number): void {
    this.#connection?.end.write(`{"ack":${seq}}\n`);
  }

  get seqs(): number[] {
    return this.heard.filter((event) => event.type !== "agent.heartbeat").map((event) => event.seq);
  }

  get heartbeats(): number {
    return this.heard.filter((event) => event.type === "agent.heartbeat").length;
  }

  async #read(stream: Duplex): Promise<void> {
    try {
      for await (const item of readLines(stream)) {
        if (!("line" in item)) continue;
        const event = AgentEvent.parse(JSON.parse(item.line));
        this.heard.push(event);
        if (this.acknowledge && event.type !== "agent.heartbeat") stream.write(`{"ack":${event.seq}}\n`);
      }
    } catch {
      // Dropped by the test.
    }
  }
}

const fill = (count: number): void => {
  for (let i = 0; i < count; i++) spool.append("container.created", null, { i });
};
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at);

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-publisher-"));
  spool = new Spool({ path: join(root, "spool.db"), agentId, clock: systemClock, log: silentLog });
  shell = new FakeShell();
  publisher = new Publisher({
    spool,
    dial: shell.dial,
    heartbeat: () => ({
      seq: spool.lastSeq,
      stream: spool.stream,
      type: "agent.heartbeat",
      agent_id: agentId,
      timestamp: new Date().toISOString(),
      data: {},
    }),
    clock: systemClock,
    log: silentLog,
    heartbeatMs: 100,
  });
});
afterEach(async () => {
  await publisher.close();
  spool.close();
  rmSync(root, { recursive: true });
});

describe("Publisher", () => {
  test("sends a heartbeat at once and then again and again, which take no number", async () => {
    publisher.start();
    await eventually("three heartbeats", () => shell.heartbeats >= 3);
    expect(spool.size).toBe(0);
    expect(spool.lastSeq).toBe(0);
  });

  test("sends what was spooled before and what comes after, in order, and forgets what was acknowledged", async () => {
    fill(600);
    publisher.start();
    await eventually("the shell to have 600 events", () => shell.seqs.length === 600);
    fill(3);
    await eventually("the shell to have 603 events", () => shell.seqs.length === 603);
    expect(shell.seqs).toEqual(numbers(1, 603));
    await eventually("an empty spool", () => spool.size === 0);
  });

  test("sends a window of events and no more while nobody acknowledges", async () => {
    shell.acknowledge = false;
    fill(600);
    publisher.start();
    await eventually("the shell to have 256 events", () => shell.seqs.length === 256);
    await systemClock.sleep(50);
    expect(shell.seqs).toHaveLength(256);
    shell.ack(100);
    await eventually("the shell to have 356 events", () => shell.seqs.length === 356);
  });

  test("after a broken connection sends again exactly what was not acknowledged", async () => {
    shell.acknowledge = false;
    fill(10);
    publisher.start();
    await eventually("the shell to have 10 events", () => shell.seqs.length === 10);
    shell.ack(4);
    await eventually("a spool of 6", () => spool.size === 6);
    shell.drop();
    fill(2);
    await eventually("the shell to have 18 events", () => shell.seqs.length === 18);
    expect(shell.seqs.slice(10)).toEqual(numbers(5, 12));
  });

  test("keeps everything while the shell is down, and drains when it is back", async () => {
    shell.up = false;
    publisher.start();
    fill(300);
    await systemClock.sleep(50);
    expect(spool.size).toBe(300);
    shell.up = true;
    await eventually("the shell to have 300 events", () => shell.seqs.length === 300);
    expect(shell.seqs).toEqual(numbers(1, 300));
  });

  test("drain waits for the last acknowledgement, but no longer than it may", async () => {
    publisher.start();
    fill(5);
    await publisher.drain(5_000);
    expect(spool.size).toBe(0);
    shell.acknowledge = false;
    fill(1);
    const before = Date.now();
    await publisher.drain(100);
    expect(Date.now() - before).toBeGreaterThanOrEqual(95);
    expect(spool.size).toBe(1);
  });
});
