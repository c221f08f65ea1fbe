import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import stringWidth from "string-width";
import type { TmuxTerminal } from "../support/tmux.js";
import { SIZES } from "../support/tui-model.js";
import { DrivenTui, ROW, SELECTED } from "./driven.js";

// At 80x24 `tui.accept.ts` presses every key; here they are pressed at the larger sizes that SPEC 11 names.
const [, ...LARGER] = SIZES;
jest.setTimeout(180_000);
let tui: DrivenTui;

beforeAll(async () => {
  tui = await DrivenTui.build();
});
afterAll(() => tui[Symbol.dispose]());

describe.each(LARGER)("at $cols x $rows", (size) => {
  const start = (scenario: string, ...env: string[]): Promise<TmuxTerminal> => tui.start(scenario, size, ...env);

  /** A dialog with this text: its frame is whole and in the middle, title and keys are still there; Esc leaves it. */
  async function opensAndLeaves(screen: TmuxTerminal, text: string): Promise<void> {
    const lines = (await screen.see(text)).split("\n");
    expect(lines[0]).toMatch(/^.{0,3}convocate {2}fake/);
    expect(lines[size.rows - 1]).toMatch(/ Q quit/);
    for (const each of lines) expect(stringWidth(each)).toBeLessThanOrEqual(size.cols);
    const top = lines.findIndex((each) => each.includes("╭─"));
    const bottom = lines.findIndex((each) => each.includes("╰─"));
    expect(bottom).toBeGreaterThan(top);
    const [left, right] = [lines[top]?.indexOf("╭"), lines[top]?.lastIndexOf("╮")];
    expect([lines[bottom]?.indexOf("╰"), lines[bottom]?.lastIndexOf("╯")]).toEqual([left, right]);
    expect(lines[bottom - 1]).toMatch(/Esc|Enter close/);
    await screen.key("Escape");
    await screen.seeNot("╭─");
  }

  test("each dialog opens whole and is left with Esc", async () => {
    await using screen = await start("few");
    await screen.see(ROW("C", "alpha"));
    for (const [keys, text] of [
      ["?", "detach everybody, it runs on"],
      ["n", "New session"],
      ["N", "New session"],
      ["K", "Stop alpha on agent-1?"],
      ["r", "alpha on agent-1 is running. Stop it first"],
      ["R", "alpha on agent-1 is running. Stop it first"],
      ["d", "Delete alpha on agent-1?"],
      ["D", "Delete alpha on agent-1?"],
      ["c", "A copy of alpha"],
      ["C", "A copy of alpha"],
      ["e", "takes effect when it is started"],
      ["E", "takes effect when it is started"],
      ["m", "only then deleted where it was"],
      ["M", "only then deleted where it was"],
      ["l", "Log of alpha on agent-1"],
      ["L", "Log of alpha on agent-1"],
      ["p", "> what alpha shows"],
      ["P", "> what alpha shows"],
      ["S", "convocate:3.0.0"],
    ] as const) {
      await screen.key(keys);
      await opensAndLeaves(screen, text);
    }
    await screen.key("j", "Enter");
    await opensAndLeaves(screen, "beta on agent-1 is not running");
    await screen.key("End", "Enter");
    await opensAndLeaves(screen, "HOST_KEY_MISMATCH");
    await screen.key("Up", "K", "y");
    await opensAndLeaves(screen, "Could not kill stubborn");
  });

  test("arrows, j, k, pages, Home and End move by what this size shows", async () => {
    await using screen = await start("many");
    const list = await screen.see("of 10000 sessions");
    const shown = Number(/1-(\d+) of 10000/.exec(list)?.[1]);
    expect(shown).toBeGreaterThan(size.rows - 12);
    await screen.key("j", "Down", "k");
    await screen.see(SELECTED("session-00001"));
    await screen.key("Up", "PageDown");
    await screen.see(SELECTED(`session-000${shown - 1}`));
    await screen.key("PageUp");
    await screen.see(SELECTED("session-00000"));
    await screen.key("End");
    await screen.see(SELECTED("session-09999"));
    await screen.key("Home");
    await screen.see(SELECTED("session-00000"));
  });

  test("the keys that change a session do so, and the row says it", async () => {
    await using screen = await start("few");
    await screen.key("b");
    await screen.see("detached 2 from alpha");
    await screen.key("K", "Enter");
    await screen.see("stopped alpha");
    await screen.see(ROW("-", "alpha"));
    await screen.key("r");
    await screen.see("started alpha");
    await screen.key("R", "Enter");
    await screen.see(/L {2}alpha .*starting…/);
    await screen.see(ROW("R", "alpha"));
    await screen.key("Enter");
    await screen.see(`attached to alpha at ${size.cols}x${size.rows}`);
    await screen.key("C-b", "d");
    await screen.see("back from alpha");
    await screen.key("d", "y");
    await screen.see("deleted alpha");
    await screen.see(SELECTED("beta"));
    await screen.key("n");
    await screen.type("fresh");
    await screen.key("Enter");
    await screen.see("created fresh");
    await screen.see(SELECTED("fresh"));
  });

  test("a field's cursor goes with arrows, Home, End, Ctrl-A and Ctrl-E; Delete, Ctrl-W and Ctrl-U take text away", async () => {
    await using screen = await start("few");
    const field = async (text: string): Promise<void> => void (await screen.see(new RegExp(`› Name {7}${text} *│`)));
    await screen.key("n");
    await screen.type("b-d");
    await screen.key("Left", "Left", "Right");
    await screen.type("c");
    await field("b-cd");
    await screen.key("Home");
    await screen.type("a");
    await screen.key("End");
    await screen.type("e");
    await field("ab-cde");
    await screen.key("C-a", "Delete");
    await field("b-cde");
    await screen.key("C-e", "BSpace");
    await field("b-cd");
    await screen.key("C-w");
    await field("b-");
    await screen.key("C-u");
    await field("");
    await screen.key("Escape");
    await screen.seeNot("New session");
  });

  test("the filter is typed and taken back, and s goes through every order", async () => {
    await using screen = await start("few");
    await screen.key("/");
    await screen.type("stub x");
    await screen.see('Nothing found for "stub x"');
    await screen.key("C-w", "BSpace");
    await screen.see("1 found in 7 sessions");
    await screen.key("Enter");
    await screen.see(SELECTED("stubborn"));
    await screen.key("Escape");
    await screen.see(/(?<!found in )7 sessions ─/);
    for (const order of ["waiting", "last use", "agent", "status", "name"]) {
      await screen.key("s");
      await screen.see(`sorted by ${order}`);
    }
  });

  test("O asks before it clears a live lock", async () => {
    await using screen = await start("locked");
    await screen.see(/L {2}live/);
    await screen.key("o");
    await opensAndLeaves(screen, "Clear a live lock");
    await screen.key("End", "O");
    await screen.see("Nobody works on stale");
    await screen.key("Enter");
    await screen.see(ROW("-", "stale"));
  });

  test("an empty cluster, one without agents and an agent that is away say what there is to do", async () => {
    await using empty = await start("none");
    await empty.see("Press N to create the first one");
    await using none = await start("no-agents");
    await none.see("convocate-host init-agent --host");
    await none.key("n");
    await opensAndLeaves(none, "No agents ─");
    await using varied = await start("varied");
    await varied.see(/○ agent-3 +connecting +1 session +refused the connection/);
    await varied.see(/\? {2}game-server .*no answer \d+\w/);
    await varied.key("/");
    await varied.type("game");
    await varied.key("Enter", "Enter");
    await opensAndLeaves(varied, "agent-3 does not answer");
  });

  test("the mouse selects, opens, scrolls, and presses the keys that are drawn", async () => {
    await using screen = await start("few");
    const click = (column: number, row: number): Promise<void> =>
      screen.type(`\u001b[<0;${column};${row}M\u001b[<0;${column};${row}m`);
    await click(10, 4);
    await screen.see(SELECTED("beta"));
    await click(10, 4);
    await opensAndLeaves(screen, "beta on agent-1 is not running");
    const keys = (await screen.screen()).split("\n")[size.rows - 1] ?? "";
    await click(keys.indexOf("preview") + 1, size.rows);
    await screen.see("beta is not running, so it has no screen");
    await screen.type("\u001b[<65;10;10M");
    await screen.see(SELECTED("slow"));
  });

  test("NO_COLOR takes the colours; wide characters keep the columns", async () => {
    await using screen = await start("hostile", "NO_COLOR=1");
    const list = await screen.see("🚀 is gone");
    for (const each of list.split("\n")) expect(stringWidth(each)).toBeLessThanOrEqual(size.cols);
    expect(/^.*wide.*$/m.exec(list)?.[0]).toMatch(/(ago|now)$/);
    expect(await screen.screen({ ansi: true })).not.toMatch(/\u001b\[(?:\d+;)*(?:3[0-7]|4[0-7]|9\d)(?:;\d+)*m/);
  });

  test("a terminal that gets tiny says so on as many lines as it has, and all is back after", async () => {
    await using screen = await start("few");
    await screen.key("n");
    await screen.see("New session");
    await screen.resize(20, 5);
    await screen.see(/^larger, or Q to\nquit\./m);
    await screen.resize(10, 1);
    await screen.see(/^convocate/);
    await screen.resize(size.cols, size.rows);
    await opensAndLeaves(screen, "New session");
  });

  test.each(["q", "Q", "C-c"])("%s quits, also after Ctrl-Z and fg", async (key) => {
    await using screen = await start("few");
    await screen.key("C-z");
    await screen.see(/Stopped|suspended/i);
    await screen.command("fg");
    await screen.see(SELECTED("alpha"));
    await screen.key(key);
    await screen.see("ended well");
    expect(await screen.modes()).toEqual({ alternate: false, cursor: true, mouse: false });
  });
});
