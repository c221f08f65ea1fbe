import { expect, test } from "@jest/globals";
import xterm from "@xterm/headless";
import type { RolloutEvent } from "../../infra/rollout/index.js";
import { planJson, planText } from "./plan.js";
import { createProgress } from "./progress.js";

const resource = (host: string, what: string) => ({ urn: `${host}/${what}`, host, what, kind: "Files" });
const started = (host: string, what: string): RolloutEvent => ({
  type: "started",
  resource: resource(host, what),
  operation: "update",
});
const finished = (host: string, what: string, operation: "update" | "none" | "create" = "update"): RolloutEvent => ({
  type: "finished",
  resource: resource(host, what),
  operation,
  differences: operation === "update" ? [{ path: 'files["/etc/a"].mode', kind: "change" }] : [],
});

/** What a terminal shows after all that was written to it. */
async function screen(chunks: string[]): Promise<string[]> {
  const terminal = new xterm.Terminal({ cols: 80, rows: 10, allowProposedApi: true, convertEol: true });
  for (const chunk of chunks) await new Promise<void>((resolve) => terminal.write(chunk, resolve));
  const lines = Array.from({ length: 10 }, (_, i) => terminal.buffer.active.getLine(i)?.translateToString(true) ?? "");
  return lines.slice(0, lines.findLastIndex((line) => line !== "") + 1);
}

test("without a terminal there is a line for each step that changed something, and no other", () => {
  const out: string[] = [];
  const progress = createProgress({ write: (text) => out.push(text) });
  for (const event of [
    started("a", "config"),
    finished("a", "config"),
    finished("a", "x", "none"),
    finished("b", "y", "create"),
  ])
    progress.take(event);
  progress.end();
  expect(out).toEqual(['a: config updated (files["/etc/a"].mode)\n', "b: y made\n"]);
});

test("on a terminal each host has one live line, what changed stays above, and the end takes the live lines away", async () => {
  const out: string[] = [];
  const progress = createProgress({ isTTY: true, columns: 80, write: (text) => out.push(text) });
  progress.take(started("agent-1", "image"));
  progress.take({ type: "progress", resource: resource("agent-1", "image"), message: "sending 3 of 9 MB" });
  progress.take(finished("agent-2", "config"));
  expect(await screen(out)).toEqual([
    'agent-2: config updated (files["/etc/a"].mode)',
    "agent-1        0 looked at, 0 changed  image: sending 3 of 9 MB",
    "agent-2        1 looked at, 1 changed",
  ]);
  progress.end();
  expect(await screen(out)).toEqual(['agent-2: config updated (files["/etc/a"].mode)']);
});

test("a plan's progress never says that something was done", async () => {
  const out: string[] = [];
  const progress = createProgress({ isTTY: true, columns: 80, write: (text) => out.push(text) }, false);
  progress.take(finished("agent-2", "config"));
  progress.end();
  expect(await screen(out)).toEqual([]);
});

test("a plan names what differs, host by host, and says how many are as they should be", () => {
  const change = {
    resource: resource("agent-1", "config"),
    operation: "update",
    differences: [{ path: "mode", kind: "change" }],
  } as const;
  const gone = { resource: resource("agent-2", "image"), operation: "create", differences: [] } as const;
  const plan = {
    changes: [
      { ...change, differences: [...change.differences] },
      { ...gone, differences: [] },
    ],
    unchanged: 7,
  };
  expect(planText(plan)).toBe(
    "agent-1\n  ~ config (Files): mode\nagent-2\n  + image (Files): is not there\n2 of 9 resources would change\n",
  );
  expect(planText({ changes: [], unchanged: 9 })).toBe("nothing would change: 9 resources are as they should be\n");
  expect(JSON.parse(planJson("dev", plan))).toMatchObject({
    stack: "dev",
    changes: [{ host: "agent-1", resource: "config" }, {}],
    unchanged: 7,
  });
});
