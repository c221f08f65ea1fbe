import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { TmuxTerminal } from "../support/tmux.js";
import { SIZES } from "../support/tui-model.js";
import { DrivenTui, SELECTED } from "./driven.js";

// What a terminal has before, while and after the TUI is in it, whatever ends it.

/** More than the screen's own deadline, so that what fails is the wait that says what the screen was. */
jest.setTimeout(60_000);
const [SIZE] = SIZES;
let tui: DrivenTui;

beforeAll(async () => {
  tui = await DrivenTui.build();
});
afterAll(() => tui[Symbol.dispose]());

test("a first frame behind a prompt and typed-ahead text is drawn from the top left corner", async () => {
  await using screen = await TmuxTerminal.shell(SIZE);
  await screen.type("echo no line end follows; printf 12345; ");
  await screen.command(...tui.argv("few"));
  const frame = await screen.see("Enter attach");
  expect(frame).toMatch(/^ convocate {2}fake /);
  // What reads the keys comes after the first frame, and moves nothing of it.
  await screen.key("j");
  const lines = (await screen.see(SELECTED("beta"))).split("\n");
  expect([lines[0], lines[SIZE.rows - 1]]).toEqual([
    expect.stringMatching(/^ convocate {2}fake /),
    expect.stringMatching(/^ Enter /),
  ]);
});

describe("help, empty clusters and colours", () => {
  test("? shows help, and Esc leaves it", async () => {
    await using screen = await tui.start("few");
    await screen.key("?");
    const help = await screen.see("background: detach everybody");
    for (const word of ["attach", "new session", "restart", "kill", "delete", "quit"]) expect(help).toContain(word);
    await screen.key("Escape");
    await screen.seeNot("background: detach everybody");
  });

  test("an empty cluster and one without agents say what to do next", async () => {
    await using empty = await tui.start("none");
    await empty.see("Press N to create the first one");
    await using none = await tui.start("no-agents");
    await none.see("convocate-host init-agent --host");
    await none.key("n");
    await none.see("No agents ─");
  });
});

test("NO_COLOR takes the colours and leaves the selected row to be seen", async () => {
  const colours = /\u001b\[(?:\d+;)*(?:3[0-7]|4[0-7]|9\d)(?:;\d+)*m/;
  await using coloured = await tui.start("few");
  expect(await coloured.screen({ ansi: true })).toMatch(colours);
  await using mono = await tui.start("few", SIZE, "NO_COLOR=1");
  await mono.see("Enter attach");
  expect(await mono.screen({ ansi: true })).not.toMatch(colours);

  expect(await mono.screen({ ansi: true })).toMatch(/\u001b\[(?:0;)?7m[^\n]*› C {2}alpha/);
});

describe("the way out", () => {
  test.each(["q", "Q", "C-c"])("%s quits and leaves the terminal as it was", async (key) => {
    await using screen = await tui.start("few");
    expect(await screen.modes()).toEqual({ alternate: true, cursor: false, mouse: true });
    await screen.key(key);
    await screen.see("ended well");
    await restored(screen);
  });

  test("SIGKILL leaves the terminal as it was, too: somebody watches from outside", async () => {
    await using screen = await tui.start("few");
    await sleep(500);
    process.kill(await screen.child(), "SIGKILL");
    await screen.see("convocate was killed");
    await restored(screen);
  });

  test("Ctrl-Z stops it with the terminal as the shell wants it, and fg goes on where it was", async () => {
    await using screen = await tui.start("few");
    await screen.key("j", "C-z");
    await screen.see(/Stopped|suspended/i);
    await restored(screen);
    await screen.command("fg");
    await screen.see(SELECTED("beta"));
    expect(await screen.modes()).toEqual({ alternate: true, cursor: false, mouse: true });
    await screen.key("k");
    await screen.see(SELECTED("alpha"));
    await screen.key("q");
    await screen.see("ended well");
    await restored(screen);
  });

  test.each(["SIGTERM", "SIGHUP", "SIGINT"] as const)("%s leaves the terminal as it was", async (signal) => {
    await using screen = await tui.start("few");
    process.kill(await screen.child(), signal);
    await screen.see(`ended with INTERRUPTED: interrupted by ${signal}`);
    await restored(screen);
  });

  test("SIGTERM while attached leaves the terminal as it was", async () => {
    await using screen = await tui.start("few");
    await screen.key("Enter");
    await screen.see("attached to alpha");
    process.kill(await screen.child(), "SIGTERM");
    await screen.see("ended with INTERRUPTED");
    await restored(screen);
  });

  test.each([
    ["crash-draw", "ended with INTERNAL: a crash in drawing"],
    ["crash-list", "ended with INTERNAL: a crash in drawing"],
    ["crash-elsewhere", "Error: a crash elsewhere"],
  ])("%s leaves the terminal as it was, and says what happened", async (scenario, message) => {
    await using screen = await tui.start(scenario);
    await screen.see(message);
    await restored(screen);
  });

  /** Main screen, cursor, echo and line editing: all as a shell wants them. */
  async function restored(screen: TmuxTerminal): Promise<void> {
    expect(await screen.modes()).toEqual({ alternate: false, cursor: true, mouse: false });
    await screen.command("stty", "-a");
    const settings = await screen.see("echoctl");
    expect(settings).toMatch(/(^|\s)icanon\b/);
    expect(settings).toMatch(/(^|\s)echo\b/);
    expect(settings).toMatch(/(^|\s)isig\b/);
  }
});
