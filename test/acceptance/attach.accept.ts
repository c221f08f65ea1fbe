import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { eventually } from "../support/eventually.js";
import { rpcTo, TestAttach, type Door } from "../support/door.js";
import { RunningSession } from "../support/running-session.js";

let session: RunningSession;
let door: Door;

beforeAll(async () => {
  session = await RunningSession.open("attach-test");
  door = session.door;
}, 1_200_000);
afterAll(async () => {
  await session[Symbol.asyncDispose]();
}, 120_000);

const attached = async (): Promise<number> => {
  const status = await session.status();
  return status.state === "running" ? status.attached : -1;
};
const tmux = (...argv: string[]): Promise<string> => session.inside("tmux", ...argv);
const clients = async (): Promise<number> => (await tmux("list-clients")).split("\n").filter(Boolean).length;

test("what is typed reaches the real CLI, and its screen comes back", async () => {
  await using attach = await TestAttach.open(door, { id: session.id });
  await attach.see(/Claude Code|\? for shortcuts/);
  attach.type("hello from the test");
  await attach.see("hello from the test");
  attach.type("\r");
  await attach.see("You said: hello from the test");
}, 120_000);

test("a window change resizes the session", async () => {
  await using attach = await TestAttach.open(door, { id: session.id, cols: 90, rows: 28 });
  await eventually("the first size", async () => (await tmux("display", "-p", "#{window_width}")) === "90");
  attach.resize(133, 41);
  await eventually("the new size", async () => (await tmux("display", "-p", "#{window_width}")) === "133");
}, 60_000);

test("bytes sent with the header arrive as input", async () => {
  await using attach = await TestAttach.open(door, { id: session.id, with: "early-bytes" });
  await attach.see("early-bytes");
  attach.type("\u0015");
}, 60_000);

test("a second operator shares the screen, and the row says how many there are", async () => {
  await using first = await TestAttach.open(door, { id: session.id });
  await using second = await TestAttach.open(door, { id: session.id });
  await first.see(/\S/);
  first.type("seen by both");
  await second.see("seen by both");
  expect(await attached()).toBe(2);
  first.type("\u0015");
}, 60_000);

test("a read-only viewer sees everything, types nothing, and never shrinks the driver's window", async () => {
  await using driver = await TestAttach.open(door, { id: session.id, cols: 120, rows: 40 });
  await using viewer = await TestAttach.open(door, { id: session.id, cols: 80, rows: 24, mode: "ro" });
  await viewer.see(/\S/);
  viewer.type("must not arrive");
  driver.type("driver types");
  await driver.see("driver types");
  expect(await tmux("display", "-p", "#{window_width}")).toBe("120");
  expect(driver.screen()).not.toContain("must not arrive");
  driver.type("\u0015");
}, 60_000);

test("detach closes the channel at once with an exit status, without a key", async () => {
  await using attach = await TestAttach.open(door, { id: session.id });
  await attach.see(/\S/);
  const start = Date.now();
  attach.type("\u0002d");
  expect(await attach.channel.closed).toBe(0);
  // "at once": what a person does not notice; the machines are noisy
  expect(Date.now() - start).toBeLessThan(5_000);
}, 60_000);

test("background detaches every client and the session goes on", async () => {
  await using first = await TestAttach.open(door, { id: session.id });
  await using second = await TestAttach.open(door, { id: session.id });
  await Promise.all([first.see(/\S/), second.see(/\S/)]);
  await using agent = await rpcTo(door);
  expect(await agent.rpc.call("background", { id: session.id })).toEqual({ detached: 2 });
  await Promise.all([first.channel.closed, second.channel.closed]);
  expect((await agent.rpc.call("get", { id: session.id })).status).toMatchObject({ state: "running", attached: 0 });
}, 60_000);

test("20 dropped attaches leave no tmux client", async () => {
  for (let i = 0; i < 20; i++) {
    const attach = await TestAttach.open(door, { id: session.id });
    await attach.see(/\S/);
    attach.drop();
  }
  await eventually("no clients to be left", async () => (await clients()) === 0);
  // The agent counts an attach until it has seen its client gone, a moment after tmux has.
  await eventually("no attach to be counted", async () => (await attached()) === 0);
}, 180_000);

test("an attach to what does not run says so", async () => {
  await using agent = await rpcTo(door);
  const stopped = await agent.rpc.call("create", { request_id: randomUUID(), name: "never-started" });
  await expect(TestAttach.open(door, { id: stopped.id })).rejects.toThrow("SESSION_NOT_RUNNING");
  await expect(TestAttach.open(door, { id: randomUUID() })).rejects.toThrow("SESSION_NOT_FOUND");
  await agent.rpc.call("delete", { id: stopped.id });
}, 60_000);
