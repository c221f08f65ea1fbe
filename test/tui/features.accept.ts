import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import xterm from "@xterm/headless";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { eventually } from "../support/eventually.js";
import { SIZES } from "../support/tui-model.js";
import { DrivenTui, SELECTED } from "./driven.js";

jest.setTimeout(120_000);
let tui: DrivenTui;

beforeAll(async () => {
  tui = await DrivenTui.build();
});
afterAll(() => tui[Symbol.dispose]());

describe.each(SIZES)("at $cols x $rows", (size) => {
  test("filter, sort, clone, edit, move, logs, preview, settings: each opens, does what it says, and is left with Esc", async () => {
    await using screen = await tui.start("few", size);
    await screen.see(/agent-1 +up .*cpu [█▒·]+ +\d+%/);

    await screen.key("/");
    await screen.type("gam");
    await screen.see("1 found in 7 sessions");
    await screen.key("Enter");
    await screen.see(SELECTED("gamma"));
    await screen.key("Escape");
    await screen.see(/(?<!found in )7 sessions ─/);

    await screen.key("s");
    await screen.see("sorted by waiting");
    // Filter and order are there still after an attach.
    await screen.key("/");
    await screen.type("alpha");
    await screen.key("Enter", "Enter");
    await screen.see("attached to alpha");
    await screen.key("C-b", "d");
    await screen.see("1 found in 7 sessions");
    await screen.see("WAITING↓");
    // The first takes the word away, the second the filter.
    await screen.key("Escape");
    await screen.seeNot("back from alpha");
    await screen.key("Escape");
    await screen.see(/(?<!found in )7 sessions ─/);
    await screen.key("s", "s", "s", "s", "Home");
    await screen.see("NAME↓");

    await screen.key("c");
    await screen.see("A copy of alpha on agent-1");
    await screen.key("C-u");
    await screen.type("copied");
    await screen.key("Enter");
    await screen.see("cloned to copied");
    await screen.see(SELECTED("copied"));

    await screen.key("e", "Tab");
    await screen.type("70000");
    await screen.key("Enter");
    await screen.see("a port from 1 to 65535");
    await screen.key("C-u");
    await screen.type("4242");
    await screen.key("Enter");
    await screen.see(/copied +agent-1 +4242\/tcp/);

    await screen.key("m");
    await screen.see(/agent-2 +[\d.]+ cores/);
    await screen.key("Enter");
    await screen.see(/moving copied on agent-1 to agent-2/);
    await screen.see(/copied +agent-2 +4242\/tcp/);

    await screen.key("Home", "L");
    await screen.see("Log of alpha on agent-1 (follows)");
    await screen.see("asked times 3");
    await screen.key("Escape");
    await screen.seeNot("Log of alpha");

    await screen.key("P");
    await screen.see("> what alpha shows");
    // To the next that runs, into it, and back.
    await screen.key("j");
    await screen.see("> what fleeting shows");
    await screen.key("k", "Enter");
    await screen.see("attached to alpha");
    await screen.key("C-b", "d");
    await screen.see("back from alpha");
    await screen.key("P");
    await screen.see("> what alpha shows");
    await screen.key("Escape");
    await screen.seeNot("what alpha shows");

    await screen.key("S");
    await screen.see("convocate:3.0.0");
    await screen.see(/CPU % +90/);
    await screen.key("Tab", "C-u");
    await screen.type("75");
    await screen.key("Enter");
    await screen.see("changed the settings of agent-1");
    await screen.key("S");
    await screen.see(/CPU % +75/);
    await screen.key("Escape");

    await screen.key("q");
    await screen.see("ended well");
  });
});

test("O clears a stale lock on Enter and a live one by force only; rows warn of Docker's socket and of what waits for a restart", async () => {
  await using screen = await tui.start("locked");
  await screen.see(/R# root .*restart to/);
  await screen.see(/L {2}stale .*stale lock: O/);
  await screen.key("O", "Enter");
  await screen.seeNot("Clear a live lock");
  await screen.see(/L {2}live/);
  await screen.key("O");
  await screen.see("Clear a live lock");
  await screen.key("y");
  await screen.see(/- {2}live/);
  await screen.key("End", "O");
  await screen.see("Nobody works on stale");
  await screen.key("Enter");
  await screen.see(/- {2}stale/);
});

test("the mouse selects, opens, scrolls, presses keys and buttons; and goes to the session while attached", async () => {
  await using screen = await tui.start("few");
  const click = (column: number, row: number): Promise<void> =>
    screen.type(`\u001b[<0;${column};${row}M\u001b[<0;${column};${row}m`);
  await click(10, 4);
  await screen.see(SELECTED("beta"));
  await click(10, 4);
  await screen.see("beta on agent-1 is not running");
  const lines = (await screen.screen()).split("\n");
  const row = lines.findIndex((text) => text.includes("Cancel"));
  await click((lines[row] ?? "").indexOf("Cancel") + 1, row + 1);
  await screen.seeNot("is not running");
  const keys = (await screen.screen()).trimEnd().split("\n");
  await click((keys.at(-1) ?? "").indexOf("help") + 1, keys.length);
  await screen.see("detach everybody, it runs on");
  await screen.key("Escape");
  await screen.seeNot("detach everybody");
  await screen.type("\u001b[<65;10;10M");
  await screen.see(SELECTED("slow"));
  await screen.key("Home", "Enter");
  await screen.see("attached to alpha");
  expect((await screen.modes()).mouse).toBe(false);
  await screen.key("C-b", "d");
  await screen.see("back from alpha");
  expect((await screen.modes()).mouse).toBe(true);
});

test.each([
  ["in its colours", [], /> what (\u001b\[1m)?\u001b\[[\d;]*38;5;174malpha\u001b\[0?m/],
  ["without colours where NO_COLOR is set", ["NO_COLOR=1"], /> what \u001b\[1malpha\u001b\[0?m/],
])("P shows the session's screen %s", async (_, env, seen) => {
  await using screen = await tui.start("few", SIZES[0], ...env);
  await screen.key("P");
  await screen.see("> what alpha shows");
  expect(await screen.screen({ ansi: true })).toMatch(seen);
});

test("a terminal that does not say its size (0x0) is taken for 80x24, and its real size once it has one is followed", async () => {
  // Where util-linux's script has no terminal of its own it makes one without a size, as sshd does for `ssh -tt` from a pipe.
  const resize = `${tui.path}.resize`;
  const resized = `(until [ -e ${resize} ]; do sleep 0.1; done; stty cols 100 rows 30 </dev/tty)`;
  const command = `exec ${tui.argv("few").join(" ")}`;
  const child = spawn("script", ["-qec", `${resized} & ${command}`, "/dev/null"], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  const seen = new xterm.Terminal({ cols: 100, rows: 30, allowProposedApi: true });
  child.stdout.on("data", (chunk: Buffer) => seen.write(chunk));
  const text = (): string[] =>
    Array.from({ length: 30 }, (_, row) => seen.buffer.active.getLine(row)?.translateToString(true) ?? "");
  try {
    await eventually("a frame of 80x24", async () => text()[23]?.startsWith(" Enter attach"));
    expect(text()[0]).toMatch(/^ convocate {2}fake.* agents 2\/2$/);
    expect(text()[0]?.length).toBeLessThanOrEqual(80);
    await writeFile(resize, "");
    await eventually("a frame of 100x30", async () => text()[29]?.startsWith(" Enter attach"));
  } finally {
    child.stdin.end("q");
    await once(child, "close");
  }
});

test("names, titles and messages with escape sequences reach no terminal; wide characters keep the columns", async () => {
  await using screen = await tui.start("hostile");
  const before = await screen.leaks();
  const list = await screen.see("bad");
  expect(list).toMatch(/^ convocate {2}fake/);
  expect(list).toContain("目录");
  const [, evil, wide] = /^(.*evil.*)$[^]*^(.*wide.*)$/m.exec(list) ?? [];
  expect(evil).toMatch(/ago$|now$/);
  expect(wide).toMatch(/ago$|now$/);
  await screen.key("E");
  await screen.see("Edit");
  await screen.key("Escape", "Enter");
  await screen.see("Docker has a problem");
  await screen.key("Escape", "S");
  await screen.see("Release");
  await screen.key("Escape", "P");
  await screen.see("what evilmoved shows");
  await screen.see("for 目录");
  const after = await screen.leaks();
  expect(after).toEqual({ ...before, clipboard: null, bell: false });
  expect(after.title).not.toContain("evil");
});
