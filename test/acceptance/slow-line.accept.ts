import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { attachThrough } from "../support/attach-through.js";
import { TestAttach } from "../support/door.js";
import { eventually } from "../support/eventually.js";
import { startProxy, type Proxy } from "../support/proxy.js";
import { RunningSession } from "../support/running-session.js";

/** Typing at the real CLI, 200 ms away each way: what is typed shows before the session has it. */
const SIZE = { cols: 100, rows: 30 };
const DELAY_MS = 200;

let session: RunningSession;
let proxy: Proxy;

beforeAll(async () => {
  session = await RunningSession.open("slow-line");
  proxy = await startProxy(() => ({ host: session.door.host, port: session.door.port }));
}, 1_200_000);
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await session[Symbol.asyncDispose]();
}, 120_000);

test("on a line of 200 ms what is typed at Claude's prompt shows while it cannot have arrived, and the screen ends as it is without", async () => {
  proxy.delay(DELAY_MS);
  const { terminal, ended } = attachThrough(proxy, { id: session.id, door: session.door, size: SIZE });
  await terminal.see(/^❯/m);
  terminal.type("h");
  await terminal.see(/^❯.h/m);
  terminal.type("ello");
  await terminal.see(/^❯.hello/m);
  // From here on nothing gets through; the session has not got a key more.
  await using direct = await TestAttach.open(session.door, { id: session.id, ...SIZE });
  await direct.see(/^❯.hello/m);
  proxy.stall();
  terminal.type(" far");
  terminal.type("\x7f");
  terminal.type("raway");
  await terminal.see(/^❯.hello faraway/m, 5000);
  expect(direct.screen()).not.toContain("hello f");
  proxy.mend();
  // The connection is given up and made again: what was typed arrives, once.
  await direct.see(/^❯.hello faraway/m, 60_000);
  await eventually("the same screen", () => terminal.text() === direct.screen(), { timeoutMs: 30_000 });
  terminal.type("\r");
  await terminal.see("You said: hello faraway");
  await eventually("the same screen after the answer", () => terminal.text() === direct.screen(), {
    timeoutMs: 30_000,
  });
  terminal.type("\u0002d");
  expect(await ended).toEqual({ kind: "ended", exitStatus: 0 });
}, 180_000);

test("a password that is typed there shows nowhere", async () => {
  const { terminal, ended } = attachThrough(proxy, { id: session.id, door: session.door, size: SIZE });
  await terminal.see(/^❯/m);
  await session.inside("tmux", "new-window", "-t", "=claude:", "bash --norc -i");
  await terminal.see("$");
  // Seen to echo, then told not to, all of it on its way at once.
  terminal.type("t");
  await terminal.see(/\$ t/);
  let shown = "";
  terminal.onWritten = (chunk) => (shown += chunk.toString());
  for (const key of "rue; read -s word; echo got $word\r") terminal.type(key);
  await terminal.see(/read -s word/);
  await new Promise((resolve) => setTimeout(resolve, 4 * DELAY_MS));
  shown = "";
  for (const key of "QXZ") terminal.type(key);
  await new Promise((resolve) => setTimeout(resolve, 4 * DELAY_MS));
  expect(shown).not.toMatch(/[QXZ]/);
  terminal.type("\r");
  await terminal.see("got QXZ");
  terminal.type("exit\r");
  await terminal.see(/^❯/m);
  terminal.type("\u0002d");
  expect(await ended).toEqual({ kind: "ended", exitStatus: 0 });
}, 120_000);
