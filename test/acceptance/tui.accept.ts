import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { TmuxTerminal } from "../support/tmux.js";

let cluster: TestCluster;
let tui: TmuxTerminal;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  tui = await TmuxTerminal.open([...cluster.shellTty(), "/usr/local/bin/convocate"]);
}, 1_200_000);

afterAll(async () => {
  await tui[Symbol.asyncDispose]();
  await cluster.close();
});

const NAME = "tui-walk";
/** The row of our session in that state. */
const row = (state: string): RegExp => new RegExp(`^.\\s?${state}\\s+${NAME}\\b`, "m");

test("the TUI opens on the agents, with the keys it has", async () => {
  await tui.see("agents 2/2");
  await tui.see(/N new/);
}, 60_000);

test("? shows the keys, Esc leaves", async () => {
  await tui.key("?");
  await tui.see(/background/i);
  await tui.key("Escape");
  await tui.see(/N new/);
}, 60_000);

test("N makes a session, started", async () => {
  await tui.key("N");
  await tui.see("New session");
  await tui.type(NAME);
  await tui.key("Enter");
  await tui.see(row("R"), 60_000);
}, 90_000);

test("Enter attaches, what is typed arrives, Ctrl-b d comes back to the same row", async () => {
  await tui.key("Enter");
  await tui.see(/Claude Code|\? for shortcuts/);
  await tui.type("from the tui");
  await tui.see("from the tui");
  await tui.key("C-b", "d");
  await tui.see(row("R"));
  const screen = await tui.screen();
  const selected = screen.split("\n").find((line) => line.startsWith("›"));
  expect(selected).toContain(NAME);
}, 90_000);

test("B puts a session in the background: whoever is attached is detached, and it goes on", async () => {
  await using other = await TmuxTerminal.open([...cluster.shellTty(), "/usr/local/bin/convocate", "attach", NAME]);
  await other.see(/Claude Code|from the tui/);
  await tui.see(row("C"));
  await tui.key("B");
  await tui.see(row("R"));
  expect(await other.ended()).toBe(0);
}, 90_000);

test("R on a running session asks, and restarts it", async () => {
  await tui.key("R");
  await tui.see(/restart/i);
  await tui.key("y");
  await tui.see(/started|starting/);
  await tui.see(row("R"), 60_000);
}, 90_000);

test("K asks, and stops it", async () => {
  await tui.key("K");
  await tui.see(/kill|stop/i);
  await tui.key("y");
  await tui.see(row("-"), 60_000);
}, 90_000);

test("Enter on a stopped session offers to start it, and attaches", async () => {
  await tui.key("Enter");
  await tui.see(/not running/i);
  await tui.key("Enter");
  await tui.see(/Claude Code|\? for shortcuts/, 60_000);
  await tui.key("C-b", "d");
  await tui.see(row("R"));
}, 120_000);

test("D asks with the session's name, and deletes it", async () => {
  await tui.key("D");
  await tui.see(new RegExp(`delete.*${NAME}`, "is"));
  await tui.key("y");
  await tui.seeNot(row("."), 60_000);
}, 90_000);

test("Q quits and gives the terminal back", async () => {
  await tui.key("Q");
  expect(await tui.ended()).toBe(0);
  expect(await tui.screen()).not.toContain("agents 2/2");
}, 60_000);
