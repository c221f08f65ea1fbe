import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { SIZES } from "../support/tui-model.js";
import { DrivenTui, ROW, SELECTED } from "./driven.js";

/** More than the screen's own deadline, so that what fails is the wait that says what the screen was. */
jest.setTimeout(60_000);
const [SIZE] = SIZES;
let tui: DrivenTui;

beforeAll(async () => {
  tui = await DrivenTui.build();
});
afterAll(() => tui[Symbol.dispose]());

describe("the list", () => {
  test("arrows, j, k, PgDn, PgUp, Home and End move", async () => {
    await using screen = await tui.start("many");
    await screen.see("1-16 of 10000 sessions");
    await screen.key("j");
    await screen.see(SELECTED("session-00001"));
    await screen.key("Down");
    await screen.see(SELECTED("session-00002"));
    await screen.key("k", "Up");
    await screen.see(SELECTED("session-00000"));
    await screen.key("PageDown");
    await screen.see(SELECTED("session-0001[0-9]"));
    await screen.key("PageUp");
    await screen.see(SELECTED("session-00000"));
    await screen.key("End");
    await screen.see(SELECTED("session-09999"));
    await screen.see("of 10000 sessions");
    await screen.key("Home");
    await screen.see(SELECTED("session-00000"));
  });

  test("the line above the keys has the selected session's UUID", async () => {
    await using screen = await tui.start("few");
    await screen.see("3f2a91c4-5d07-4b6e-8a10-000000000001");
    await screen.key("j");
    await screen.see("3f2a91c4-5d07-4b6e-8a10-000000000002");
  });

  test("a resize is followed, below 80x20 it says so, and comes back", async () => {
    await using screen = await tui.start("few");
    await screen.resize(120, 30);
    await screen.see(/^.{100,}agents 2\/2 *\n/);
    await screen.resize(80, 20);
    await screen.key("n");
    await screen.see("New session");
    await screen.see("Enter create");
    await screen.resize(80, 19);
    await screen.see("this terminal is 80x19");
    await screen.resize(SIZE.cols, SIZE.rows);
    await screen.see("Enter create");
    await screen.key("Escape");
    await screen.see("Enter attach");
  });
});

describe("attach", () => {
  test("every byte goes to the session, in order, and Ctrl-b d comes back to the same row", async () => {
    await using screen = await tui.start("few");
    await screen.key("j", "j");
    await screen.see(SELECTED("fleeting"));
    await screen.key("Enter");
    await screen.see("attached to fleeting at 80x24");
    expect((await screen.modes()).alternate).toBe(false);
    // Keys that mean something to the TUI, control characters, escape sequences and more than ASCII.
    await screen.type("qKDyé");
    await screen.key("C-c", "Escape", "Up", "Tab", "Enter");
    const expected = Buffer.from("qKDyé\u0003\u001b\u001b[A\t\r").toString("hex");
    const got = await screen.see(/0d\n/);
    expect([...got.matchAll(/got ([0-9a-f]+)/g)].map(([, hex]) => hex).join("")).toBe(expected);
    expect(got).not.toContain("TEXT NOT BYTES");
    await screen.key("C-b", "d");
    await screen.see("back from fleeting");
    await screen.see(SELECTED("fleeting"));
    expect((await screen.modes()).alternate).toBe(true);
    await screen.key("k");
    await screen.see(SELECTED("beta"));
  });

  test("what is typed in one piece with Enter goes to the session and is no command", async () => {
    await using screen = await tui.start("few");
    await screen.type("\rhello D\r");
    await screen.see("attached to alpha");
    const hex = Buffer.from("hello D\r").toString("hex");
    const got = await screen.see(/0d\n/);
    expect([...got.matchAll(/got ([0-9a-f]+)/g)].map(([, part]) => part).join("")).toBe(hex);
  });

  test("ten attaches in a row lose no key and no screen", async () => {
    await using screen = await tui.start("few");
    for (let round = 0; round < 10; round += 1) {
      await screen.key("Enter");
      await screen.see("attached to alpha");
      await screen.key("C-b", "d");
      await screen.see("back from alpha");
    }
    await screen.key("q");
    await screen.see("ended well");
  });

  test("a resize meanwhile reaches the session, and the list has the new size after", async () => {
    await using screen = await tui.start("few");
    await screen.key("Enter");
    await screen.see("attached to alpha");
    await screen.resize(100, 30);
    await screen.see("size 100x30");
    await screen.key("C-b", "d");
    const list = await screen.see("back from alpha");
    expect(list.split("\n").findIndex((text) => text.startsWith(" Enter attach"))).toBe(29);
  });

  test("a stopped session asks, is started, and is attached to", async () => {
    await using screen = await tui.start("few");
    await screen.key("j", "Enter");
    await screen.see("beta on agent-1 is not running");
    await screen.key("Right", "Enter");
    await screen.seeNot("is not running");
    await screen.key("Enter");
    await screen.see("Start and attach");
    await screen.key("Enter");
    await screen.see("attached to beta");
    await screen.key("C-b", "d");
    await screen.see(ROW("R", "beta"));
  });

  test("Esc leaves the wait for a slow start, which goes on in its row", async () => {
    await using screen = await tui.start("few");
    await screen.key("j", "j", "j", "j", "Enter");
    await screen.see("slow on agent-1 is not running");
    await screen.key("y");
    await screen.see("Starting slow");
    await screen.key("Escape");
    await screen.seeNot("Starting slow");
    await screen.see(/L {2}slow .*starting…/);
    await screen.key("k");
    await screen.see(SELECTED("gamma"));
    await screen.see(ROW("R", "slow"));
    await screen.see("started slow");
  });

  test("a failed attach shows its error whole", async () => {
    await using screen = await tui.start("few");
    await screen.key("End", "Enter");
    const shown = await screen.see("HOST_KEY_MISMATCH");
    expect(shown).toContain("Attach to unattachable failed");
    expect(shown).toContain("SHA256:def");
    await screen.key("Escape");
    await screen.seeNot("HOST_KEY_MISMATCH");
    await screen.see(SELECTED("unattachable"));
  });
});

describe("operations", () => {
  test("N creates: the name is checked while it is typed, the agent is chosen, the row appears and is selected", async () => {
    await using screen = await tui.start("few");
    await screen.key("N");
    await screen.see("New session");
    await screen.type("two words");
    await screen.see("must be 1 to 64 of letters");
    await screen.key("C-u");
    await screen.type("new-one");
    await screen.key("Tab", "Right", "Tab");
    await screen.type("70000");
    await screen.see("a port from 1 to 65535");
    await screen.key("C-u");
    await screen.type("auto");
    await screen.key("Enter");
    await screen.see("created new-one, port 1001/tcp");
    await screen.see(SELECTED("new-one"));
    await screen.see(/R {2}new-one +agent-1 +1001\/tcp/);
  });

  test("a paste into the form is text, and over the list no command", async () => {
    await using screen = await tui.start("few");
    await screen.paste("Dy");
    await sleep(300);
    expect(await screen.screen()).not.toContain("Delete");
    await screen.key("n");
    await screen.see("New session");
    await screen.paste("pasted\n");
    await screen.see("pasted");
    await screen.key("Enter");
    await screen.see(SELECTED("pasted"));
  });

  test("a refused create shows the whole message, wrapped, and the form again after", async () => {
    await using screen = await tui.start("few");
    await screen.key("n");
    await screen.type("refused");
    await screen.key("Enter");
    const shown = await screen.see("Could not create refused");
    expect(shown.replaceAll(/[│╭╮╰╯─\s]+/g, " ")).toContain("across 6 sessions. Kill or delete a session on agent-1");
    await screen.key("Enter");
    await screen.see("New session");
    await screen.see("refused");
    await screen.key("Escape");
    await screen.seeNot("New session");
  });

  test("B detaches everybody", async () => {
    await using screen = await tui.start("few");
    await screen.see(ROW("C", "alpha"));
    await screen.key("b");
    await screen.see("detached 2 from alpha");
    await screen.see(ROW("R", "alpha"));
  });

  test("K kills after a confirmation, and k only moves", async () => {
    await using screen = await tui.start("few");
    await screen.key("j", "k", "K");
    await screen.see("Stop alpha on agent-1?");
    await screen.key("Escape");
    await screen.seeNot("Stop alpha");
    await screen.see(ROW("C", "alpha"));
    await screen.key("K", "Enter");
    await screen.see("stopped alpha");
    await screen.see(ROW("-", "alpha"));
  });

  test("an operation that fails says so whole, with why", async () => {
    await using screen = await tui.start("few");
    await screen.key("End", "Up", "K", "y");
    const shown = await screen.see("Could not kill stubborn");
    expect(shown).toContain("DOCKER_ERROR");
    expect(shown).toContain("because: admission denied");
    await screen.key("Enter");
    await screen.seeNot("Could not kill");
    await screen.see(ROW("R", "stubborn"));
  });

  test("R starts a stopped session, and asks for force where it runs", async () => {
    await using screen = await tui.start("few");
    await screen.key("j", "r");
    await screen.see("started beta");
    await screen.see(ROW("R", "beta"));
    await screen.key("R");
    await screen.see("beta on agent-1 is running. Stop it first, by force");
    await screen.key("Enter");
    await screen.seeNot("by force");
    await screen.see("started beta");
  });

  test("D names the session, keeps it by default, and deletes it on y", async () => {
    await using screen = await tui.start("few");
    await screen.key("D");
    await screen.see("Delete alpha on agent-1?");
    await screen.key("Enter");
    await screen.seeNot("Delete alpha");
    await screen.key("d");
    await screen.see("Delete alpha on agent-1?");
    await screen.key("y");
    await screen.see("deleted alpha");
    await screen.see("6 sessions ─");
    await screen.see(SELECTED("beta"));
  });

  test("a dialog whose session disappears is closed with a word", async () => {
    await using screen = await tui.start("few");
    await screen.key("j", "j", "D");
    await screen.see("Delete fleeting");
    process.kill(await screen.child(), "SIGUSR2");
    await screen.see("fleeting is gone");
    await screen.seeNot("Delete fleeting");
    await screen.see(SELECTED("gamma"));
  });
});
