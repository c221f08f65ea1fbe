import { expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { PassThrough } from "node:stream";
import { evilJson, evilText, nested, prototypesAreClean } from "../../../test/support/hostile.js";
import { AgentEvent, AgentId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import type { ServedChannel } from "../../protocol/ssh/types.js";
import type { Intake } from "./intake.js";
import { receive } from "./receive.js";

// Hundreds of runs, on machines that do other things too.
jest.setTimeout(120_000);

const A = AgentId.parse("agentaaa");
const good = (seq: number): object => ({
  seq,
  stream: "s1",
  type: "container.started",
  agent_id: A,
  timestamp: "2026-11-21T00:00:00.000Z",
  data: {},
});

/** What one channel's lines bring to the intake, and what is logged of them. */
async function taken(lines: readonly string[]): Promise<{ events: AgentEvent[]; logged: string }> {
  const stream = new PassThrough();
  const events: AgentEvent[] = [];
  const intake = {
    add: async (_source: unknown, event: AgentEvent) => void events.push(event),
    flush: () => undefined,
  };
  const said: unknown[] = [];
  const log = { ...silentLog, warn: (fields: Record<string, unknown>) => void said.push(fields) };
  const channel: ServedChannel = {
    stream,
    peer: { comment: A, fingerprint: "SHA256:x", address: "::1" },
    signal: new AbortController().signal,
    onWindowChange: () => undefined,
    exit: () => undefined,
  };
  stream.end(lines.map((line) => `${line}\n`).join(""));
  await receive(channel, A, intake as unknown as Intake, log);
  return { events, logged: JSON.stringify(said) };
}

test("of any lines only events of the agent itself come through, and those behind bad ones do", async () => {
  const line = fc.oneof(
    evilText(),
    evilJson().map((value) => JSON.stringify(value)),
    fc
      .dictionary(fc.constantFrom("seq", "stream", "type", "agent_id", "session_id", "timestamp", "data"), evilJson())
      .map((change) => JSON.stringify({ ...good(1), ...change })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 20 }), async (lines) => {
      const { events, logged } = await taken([...lines, JSON.stringify(good(7))]);
      expect(events.at(-1)).toMatchObject({ seq: 7 });
      for (const event of events) {
        expect(event.agent_id).toBe(A);
        expect(AgentEvent.parse(JSON.parse(JSON.stringify(event)))).toEqual(event);
      }
      expect(logged.length).toBeLessThan(10_000);
    }),
    { numRuns: 200 },
  );
  expect(prototypesAreClean()).toBe(true);
});

test("an event that nobody could write down again is refused, not the batch it came with", async () => {
  const deep = JSON.stringify(good(1)).replace('"data":{}', `"data":{"x":${nested(20_000)}}`);
  const { events, logged } = await taken([deep, JSON.stringify(good(2))]);
  expect(events.map(({ seq }) => seq)).toEqual([2]);
  expect(logged).toContain("deep");
});

test("an event of megabytes is refused", async () => {
  const { events } = await taken([
    JSON.stringify({ ...good(1), data: { x: "x".repeat(500_000) } }),
    JSON.stringify(good(2)),
  ]);
  expect(events.map(({ seq }) => seq)).toEqual([2]);
});
