import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { buildProgram, Screen, type Program } from "./screen.js";

const SIZE = { cols: 80, rows: 24 };
const node = "node_modules/.bin/node";
/** More than the screen's own deadline, so that what fails is the wait that says what the screen was. */
jest.setTimeout(60_000);
let program: Program;
let count = 0;

beforeAll(async () => {
  program = await buildProgram("test/tui/fake-cluster-main.tsx");
});
afterAll(() => program[Symbol.dispose]());

/** The TUI on a scenario of the fake cluster, once its first frame is there. */
async function start(scenario: string, size = SIZE, ...env: string[]): Promise<Screen> {
  count += 1;
  const screen = new Screen(String(count), size);
  screen.command("env", ...env, `${process.cwd()}/${node}`, program.path, scenario);
  await screen.shows("convocate  fake");
  return screen;
}

const ROW = (status: string, name: string): RegExp => new RegExp(`^. ${status} {2}${name} `, "m");
const SELECTED = (name: string): RegExp => new RegExp(`^› . {2}${name} `, "m");

describe("the list", () => {
  test("arrows, j, k, PgDn, PgUp, Home and End move", async () => {
    using screen = await start("many");
    await screen.shows("1-16 of 10000 sessions");
    screen.keys("j");
    await screen.shows(SELECTED("session-00001"));
    screen.keys("Down");
    await screen.shows(SELECTED("session-00002"));
    screen.keys("k", "Up");
    await screen.shows(SELECTED("session-00000"));
    screen.keys("PageDown");
    await screen.shows(SELECTED("session-0001[0-9]"));
    screen.keys("PageUp");
    await screen.shows(SELECTED("session-00000"));
    screen.keys("End");
    await screen.shows(SELECTED("session-09999"));
    await screen.shows("of 10000 sessions");
    screen.keys("Home");
    await screen.shows(SELECTED("session-00000"));
  });

  test("the line above the keys has the selected session's UUID", async () => {
    using screen = await start("few");
    await screen.shows("3f2a91c4-5d07-4b6e-8a10-000000000001");
    screen.keys("j");
    await screen.shows("3f2a91c4-5d07-4b6e-8a10-000000000002");
  });

  test("a resize is followed, below 80x24 it says so, and comes back", async () => {
    using screen = await start("few");
    screen.resize({ cols: 120, rows: 30 });
    await screen.shows(/^.{100,}agents 2\/2 *\n/);
    screen.resize({ cols: 60, rows: 20 });
    await screen.shows("this terminal is 60x20");
    screen.resize(SIZE);
    await screen.shows("Enter attach");
  });
});

describe("attach", () => {
  test("every byte goes to the session, in order, and Ctrl-b d comes back to the same row", async () => {
    using screen = await start("few");
    screen.keys("j", "j");
    await screen.shows(SELECTED("fleeting"));
    screen.keys("Enter");
    await screen.shows("attached to fleeting at 80x24");
    expect(screen.modes().alternate).toBe(false);
    // Keys that mean something to the TUI, control characters, escape sequences and more than ASCII.
    screen.text("qKDyé");
    screen.keys("C-c", "Escape", "Up", "Tab", "Enter");
    const expected = Buffer.from("qKDyé\u0003\u001b\u001b[A\t\r").toString("hex");
    const got = await screen.shows(/0d\n/);
    expect([...got.matchAll(/got ([0-9a-f]+)/g)].map(([, hex]) => hex).join("")).toBe(expected);
    expect(got).not.toContain("TEXT NOT BYTES");
    screen.keys("C-b", "d");
    await screen.shows("back from fleeting");
    await screen.shows(SELECTED("fleeting"));
    expect(screen.modes().alternate).toBe(true);
    screen.keys("k");
    await screen.shows(SELECTED("beta"));
  });

  test("what is typed in one piece with Enter goes to the session and is no command", async () => {
    using screen = await start("few");
    screen.text("\rhello D\r");
    await screen.shows("attached to alpha");
    const hex = Buffer.from("hello D\r").toString("hex");
    const got = await screen.shows(/0d\n/);
    expect([...got.matchAll(/got ([0-9a-f]+)/g)].map(([, part]) => part).join("")).toBe(hex);
  });

  test("ten attaches in a row lose no key and no screen", async () => {
    using screen = await start("few");
    for (let round = 0; round < 10; round += 1) {
      screen.keys("Enter");
      await screen.shows("attached to alpha");
      screen.keys("C-b", "d");
      await screen.shows("back from alpha");
    }
    screen.keys("q");
    await screen.shows("ended well");
  });

  test("a resize meanwhile reaches the session, and the list has the new size after", async () => {
    using screen = await start("few");
    screen.keys("Enter");
    await screen.shows("attached to alpha");
    screen.resize({ cols: 100, rows: 30 });
    await screen.shows("size 100x30");
    screen.keys("C-b", "d");
    const list = await screen.shows("back from alpha");
    expect(list.split("\n").findIndex((text) => text.startsWith(" Enter attach"))).toBe(29);
  });

  test("a stopped session asks, is started, and is attached to", async () => {
    using screen = await start("few");
    screen.keys("j", "Enter");
    await screen.shows("beta on agent-1 is not running");
    screen.keys("Right", "Enter");
    await screen.hides("is not running");
    screen.keys("Enter");
    await screen.shows("Start and attach");
    screen.keys("Enter");
    await screen.shows("attached to beta");
    screen.keys("C-b", "d");
    await screen.shows(ROW("R", "beta"));
  });

  test("Esc leaves the wait for a slow start, which goes on in its row", async () => {
    using screen = await start("few");
    screen.keys("j", "j", "j", "j", "Enter");
    await screen.shows("slow on agent-1 is not running");
    screen.keys("y");
    await screen.shows("Starting slow");
    screen.keys("Escape");
    await screen.hides("Starting slow");
    await screen.shows(/L {2}slow .*starting…/);
    screen.keys("k");
    await screen.shows(SELECTED("gamma"));
    await screen.shows(ROW("R", "slow"));
    await screen.shows("started slow");
  });

  test("a failed attach shows its error whole", async () => {
    using screen = await start("few");
    screen.keys("End", "Enter");
    const shown = await screen.shows("HOST_KEY_MISMATCH");
    expect(shown).toContain("Attach to unattachable failed");
    expect(shown).toContain("SHA256:def");
    screen.keys("Escape");
    await screen.hides("HOST_KEY_MISMATCH");
    await screen.shows(SELECTED("unattachable"));
  });
});

describe("operations", () => {
  test("N creates: the name is checked while it is typed, the agent is chosen, the row appears and is selected", async () => {
    using screen = await start("few");
    screen.keys("N");
    await screen.shows("New session");
    screen.text("two words");
    await screen.shows("must be 1 to 64 of letters");
    screen.keys("C-u");
    screen.text("new-one");
    screen.keys("Tab", "Right", "Tab");
    screen.text("70000");
    await screen.shows("a port from 1 to 65535");
    screen.keys("C-u");
    screen.text("auto");
    screen.keys("Enter");
    await screen.shows("created new-one, port 1001/tcp");
    await screen.shows(SELECTED("new-one"));
    await screen.shows(/R {2}new-one +agent-1 +1001\/tcp/);
  });

  test("a paste into the form is text, and over the list no command", async () => {
    using screen = await start("few");
    screen.paste("Dy");
    await sleep(300);
    expect(screen.capture()).not.toContain("Delete");
    screen.keys("n");
    await screen.shows("New session");
    screen.paste("pasted\n");
    await screen.shows("pasted");
    screen.keys("Enter");
    await screen.shows(SELECTED("pasted"));
  });

  test("a refused create shows the whole message, wrapped, and the form again after", async () => {
    using screen = await start("few");
    screen.keys("n");
    screen.text("refused");
    screen.keys("Enter");
    const shown = await screen.shows("Could not create refused");
    expect(shown.replaceAll(/[│╭╮╰╯─\s]+/g, " ")).toContain("across 6 sessions. Kill or delete a session on agent-1");
    screen.keys("Enter");
    await screen.shows("New session");
    await screen.shows("refused");
    screen.keys("Escape");
    await screen.hides("New session");
  });

  test("B detaches everybody", async () => {
    using screen = await start("few");
    await screen.shows(ROW("C", "alpha"));
    screen.keys("b");
    await screen.shows("detached 2 from alpha");
    await screen.shows(ROW("R", "alpha"));
  });

  test("K kills after a confirmation, and k only moves", async () => {
    using screen = await start("few");
    screen.keys("j", "k", "K");
    await screen.shows("Stop alpha on agent-1?");
    screen.keys("Escape");
    await screen.hides("Stop alpha");
    await screen.shows(ROW("C", "alpha"));
    screen.keys("K", "Enter");
    await screen.shows("stopped alpha");
    await screen.shows(ROW("-", "alpha"));
  });

  test("an operation that fails says so whole, with why", async () => {
    using screen = await start("few");
    screen.keys("End", "Up", "K", "y");
    const shown = await screen.shows("Could not kill stubborn");
    expect(shown).toContain("DOCKER_ERROR");
    expect(shown).toContain("because: admission denied");
    screen.keys("Enter");
    await screen.hides("Could not kill");
    await screen.shows(ROW("R", "stubborn"));
  });

  test("R starts a stopped session, and asks for force where it runs", async () => {
    using screen = await start("few");
    screen.keys("j", "r");
    await screen.shows("started beta");
    await screen.shows(ROW("R", "beta"));
    screen.keys("R");
    await screen.shows("beta on agent-1 is running. Stop it first, by force");
    screen.keys("Enter");
    await screen.hides("by force");
    await screen.shows("started beta");
  });

  test("D names the session, keeps it by default, and deletes it on y", async () => {
    using screen = await start("few");
    screen.keys("D");
    await screen.shows("Delete alpha on agent-1?");
    screen.keys("Enter");
    await screen.hides("Delete alpha");
    screen.keys("d");
    await screen.shows("Delete alpha on agent-1?");
    screen.keys("y");
    await screen.shows("deleted alpha");
    await screen.shows("6 sessions ─");
    await screen.shows(SELECTED("beta"));
  });

  test("a dialog whose session disappears is closed with a word", async () => {
    using screen = await start("few");
    screen.keys("j", "j", "D");
    await screen.shows("Delete fleeting");
    process.kill(screen.child(), "SIGUSR2");
    await screen.shows("fleeting is gone");
    await screen.hides("Delete fleeting");
    await screen.shows(SELECTED("gamma"));
  });
});

test("a first frame behind a prompt and typed-ahead text is drawn from the top left corner", async () => {
  using screen = new Screen("prompt", SIZE);
  screen.text("echo no line end follows; printf 12345; ");
  screen.command("env", `${process.cwd()}/${node}`, program.path, "few");
  const frame = await screen.shows("Enter attach");
  expect(frame).toMatch(/^ convocate {2}fake /);
});

describe("help, empty clusters and colours", () => {
  test("? shows help, and Esc leaves it", async () => {
    using screen = await start("few");
    screen.keys("?");
    const help = await screen.shows("background: detach everybody");
    for (const word of ["attach", "new session", "restart", "kill", "delete", "quit"]) expect(help).toContain(word);
    screen.keys("Escape");
    await screen.hides("background: detach everybody");
  });

  test("an empty cluster and one without agents say what to do next", async () => {
    using empty = await start("none");
    await empty.shows("Press N to create the first one");
    using none = await start("no-agents");
    await none.shows("convocate-host init-agent --host");
    none.keys("n");
    await none.shows("No agents ─");
  });
});

test("NO_COLOR takes the colours and leaves the selected row to be seen", async () => {
  const colours = /\u001b\[(?:\d+;)*(?:3[0-7]|4[0-7]|9\d)(?:;\d+)*m/;
  using coloured = await start("few");
  expect(coloured.captureStyled()).toMatch(colours);
  using mono = await start("few", SIZE, "NO_COLOR=1");
  await mono.shows("Enter attach");
  expect(mono.captureStyled()).not.toMatch(colours);

  expect(mono.captureStyled()).toMatch(/\u001b\[(?:0;)?7m[^\n]*› C {2}alpha/);
});

describe("the way out", () => {
  test.each(["q", "Q", "C-c"])("%s quits and leaves the terminal as it was", async (key) => {
    using screen = await start("few");
    expect(screen.modes()).toEqual({ alternate: true, cursor: false });
    screen.keys(key);
    await screen.shows("ended well");
    await restored(screen);
  });

  test.each(["SIGTERM", "SIGHUP", "SIGINT"] as const)("%s leaves the terminal as it was", async (signal) => {
    using screen = await start("few");
    process.kill(screen.child(), signal);
    await screen.shows(`ended with INTERRUPTED: interrupted by ${signal}`);
    await restored(screen);
  });

  test("SIGTERM while attached leaves the terminal as it was", async () => {
    using screen = await start("few");
    screen.keys("Enter");
    await screen.shows("attached to alpha");
    process.kill(screen.child(), "SIGTERM");
    await screen.shows("ended with INTERRUPTED");
    await restored(screen);
  });

  test.each([
    ["crash-draw", "ended with INTERNAL: a crash in drawing"],
    ["crash-list", "ended with INTERNAL: a crash in drawing"],
    ["crash-elsewhere", "Error: a crash elsewhere"],
  ])("%s leaves the terminal as it was, and says what happened", async (scenario, message) => {
    using screen = await start(scenario);
    await screen.shows(message);
    await restored(screen);
  });

  /** Main screen, cursor, echo and line editing: all as a shell wants them. */
  async function restored(screen: Screen): Promise<void> {
    expect(screen.modes()).toEqual({ alternate: false, cursor: true });
    screen.command("stty", "-a");
    const settings = await screen.shows("echoctl");
    expect(settings).toMatch(/(^|\s)icanon\b/);
    expect(settings).toMatch(/(^|\s)echo\b/);
    expect(settings).toMatch(/(^|\s)isig\b/);
  }
});
