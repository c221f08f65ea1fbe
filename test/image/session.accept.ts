import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { BUILD_MS, ClaudeImage, ENTER, KEY, noted, PROMPT, ready, say } from "./claude-image.js";
import { docker, eventually, type Session } from "./session.js";

// Claude's session in its container, from the first prompt to the last signal.

jest.setTimeout(120_000);
/** A conversation's id. */
const HALF = "3f0d9c1e-5b1f-4a57-9d3c-5f6f0d2f6f10";
let image: ClaudeImage;

beforeAll(async () => {
  image = await ClaudeImage.open();
}, BUILD_MS);
afterAll(async () => {
  await image[Symbol.asyncDispose]();
});

const runningClaudes = (session: Session) => session.exec("pgrep", "-c", "-x", "claude").catch(() => "0");

test("starts at Claude's prompt with no dialog, and holds a conversation", async () => {
  await using session = await image.start();
  const screen = await ready(await session.attach());
  const first = screen.text();
  expect(first).toContain("Claude Code v");
  expect(first).toContain("C-b d detaches");
  expect(first).not.toMatch(/trust|theme|log ?in|Enter to c/i);

  const asked = image.prompts().length;
  await say(screen, "good morning, 日本");
  await screen.shows("You said: good morning, 日本");
  expect(image.prompts().slice(asked)).toEqual(["good morning, 日本"]);
});

test("shows no secret in any process list", async () => {
  await using session = await image.start();
  await ready(await session.attach());
  const listed = await docker("exec", session.name, "ps", "-eo", "args");
  expect(listed).toContain("claude");
  expect(listed).not.toContain(KEY.slice(-20));
});

test("lets a second operator share the screen, and a read-only one type nothing and shrink nothing", async () => {
  await using session = await image.start();
  const driver = await ready(await session.attach({ cols: 100, rows: 30 }));
  const viewer = await session.attach({ readOnly: true, cols: 40, rows: 10 });
  await viewer.shows("read only");
  viewer.type("not this");
  const second = await ready(await session.attach({ cols: 100, rows: 30 }));
  second.type("from the second");
  expect(await driver.shows("from the second")).not.toContain("not this");
  expect(await session.exec("tmux", "display", "-p", "#{window_width}x#{window_height}")).toBe("100x29");
});

test("follows the terminal's size", async () => {
  await using session = await image.start();
  const screen = await ready(await session.attach());
  await screen.resize(132, 43);
  await screen.shows(/^─{132}$/m);
});

test("takes a terminal that it does not know for an xterm", async () => {
  await using session = await image.start();
  await ready(await session.attach({ term: "no-such-terminal" }));
});

test("goes on after every attach has ended", async () => {
  await using session = await image.start();
  const screen = await ready(await session.attach());
  screen.type("\x02d");
  expect(await screen.exitCode()).toBe(0);
  await ready(await session.attach());
  expect(await session.inspect("{{.State.Running}}")).toBe("true");
});

test("tells what its hooks and its pane say, in its log, to an agent and for one that was away", async () => {
  await using session = await image.start();
  const screen = await ready(await session.attach());
  await say(screen, "wait: 30");
  await screen.shows("esc to interrupt");
  await eventually("the turn is interrupted", async () => {
    screen.type("\x1b");
    await sleep(500);
    return !screen.text().includes("esc to interrupt");
  });
  const told = async () =>
    (await session.exec("cat", "/tmp/.convocate/told"))
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string; text?: string });
  await eventually("the pane is still", async () => {
    const names = (await told()).map(({ event }) => event);
    return names.lastIndexOf("still") > names.indexOf("UserPromptSubmit");
  });
  expect(await told()).toContainEqual(expect.objectContaining({ event: "UserPromptSubmit", text: "wait: 30" }));

  const log = async () => (await docker("logs", session.name)).split("\n");
  expect((await log()).map((line) => (JSON.parse(line) as { event: string }).event)).toEqual([
    "SessionStart",
    "UserPromptSubmit",
  ]);
  // What a session's own programs write there cannot reach a reader's terminal as more than text.
  const write = `printf '%s\\n' '{"a":"\\u001b[31m\\u009b5m"}' "$(printf '\\033[2J')" >/tmp/.convocate/log`;
  await session.exec("sh", "-c", write);
  await eventually("the line is logged", async () => (await log()).length === 3);
  expect((await log())[2]).toBe('{"a":"\\u001b[31m 5m"}');
  await docker("stop", session.name);
  expect((await log()).at(-1)).toContain('"event":"SessionEnd"');
});

test("says how Claude ended, starts it again at Enter, and goes on with the conversation at c", async () => {
  await using session = await image.start();
  const screen = await ready(await session.attach());
  await say(screen, "remember me");
  await screen.shows("You said: remember me");
  await noted(session, "You said: remember me");
  await session.exec("pkill", "-KILL", "-x", "claude");
  await screen.shows("claude ended with exit code 137. Press Enter to start it again");
  screen.type("x");
  screen.type("c");
  await eventually("claude runs again", async () => (await runningClaudes(session)) === "1");
  await screen.shows(PROMPT);
  await session.exec("pkill", "-TERM", "-x", "claude");
  await screen.shows("claude ended with exit code 143");
  screen.type(ENTER);
  await eventually("claude runs again", async () => (await runningClaudes(session)) === "1");
});

test("comes back from Ctrl-Z, more than once", async () => {
  await using session = await image.start();
  const screen = await ready(await session.attach());
  const state = async () => (await session.exec("ps", "-C", "claude", "-o", "stat=")).charAt(0);
  for (const word of ["once", "twice"]) {
    screen.type("\x1a");
    await screen.shows("claude is suspended. Press Enter to go on.");
    await eventually("claude is suspended", async () => (await state()) === "T");
    // More than once, because the words may be on the screen from the last time. The CLI's empty prompt does nothing at Enter.
    await eventually("claude goes on", async () => {
      screen.type(ENTER);
      await sleep(200);
      return (await state()) === "S";
    });
    await say(screen, word);
    await screen.shows(`You said: ${word}`);
  }
});

test("asks before it runs a tool, and runs it", async () => {
  const settings = JSON.stringify({ permissions: { defaultMode: "default" } });
  await using session = await image.start({
    prepare: `mkdir .claude; echo '${settings}' >.claude/settings.json; chown -R 1337:1337 .claude`,
  });
  const screen = await ready(await session.attach());
  await say(screen, "run: touch made && echo done-$((40 + 2))");
  await screen.shows("Do you want to proceed?");
  expect(await session.exec("ls", "/home/claude")).not.toContain("made");
  // More than once: a dialog takes no key in its first moment. The empty prompt after it does nothing at Enter.
  await eventually("the tool's output is on the screen", async () => {
    screen.type(ENTER);
    await sleep(300);
    return screen.text().includes("It printed: done-42");
  });
  expect(await session.exec("stat", "-c", "%U %n", "/home/claude/made")).toBe("claude /home/claude/made");
});

test("ends within 2 s of TERM, after Claude's SessionEnd hook, and lets attaches go with exit code 0", async () => {
  const hook = { type: "command", command: "cat >/home/claude/ended.json" };
  const settings = JSON.stringify({ hooks: { SessionEnd: [{ hooks: [hook] }] } });
  await using session = await image.start({
    prepare: `mkdir .claude; echo '${settings}' >.claude/settings.json; chown -R 1337:1337 .claude`,
  });
  const screen = await ready(await session.attach());
  await docker("stop", session.name);
  const times = await session.inspect("{{.State.StartedAt}} {{.State.FinishedAt}} {{.State.ExitCode}}");
  expect(times).toMatch(/ 0$/);
  expect(await screen.exitCode()).toBe(0);
  const ended = await docker("cp", `${session.name}:/home/claude/ended.json`, "-").catch(() => "no ended.json");
  expect(ended).toContain('"hook_event_name":"SessionEnd"');

  await docker("start", session.name);
  await ready(await session.attach());
  const before = Date.now();
  await docker("stop", session.name);
  // Under 2 s where the machine is idle (SPEC 6.3); without the entrypoint's help it is the 10 s of grace.
  expect(Date.now() - before).toBeLessThan(6_000);
});

test("resumes its conversation in a new container, and sends no prompt twice", async () => {
  await using session = await image.start();
  await say(await ready(await session.attach()), "before the restart");
  await eventually("the prompt arrives", () => image.prompts().includes("before the restart"));
  await (await session.attach()).shows("You said: before the restart");
  await noted(session, "You said: before the restart");
  await docker("rm", "--force", session.name);
  const asked = image.prompts().length;

  await using resumed = await image.start({ home: session.home, env: { CONVOCATE_RESUME: "1" } });
  const screen = await ready(await resumed.attach());
  await screen.shows("You said: before the restart");
  await say(screen, "after it");
  await screen.shows("You said: after it");
  expect(image.prompts().slice(asked)).toEqual(["after it"]);
});

test.each([
  ["there is no conversation", ":"],
  [
    "the CLI was killed before it wrote down a word of it",
    `folder=.claude/projects/-home-claude
     mkdir -p $folder
     printf '{"type":"mode","mode":"normal","sessionId":"%s"}\\n' ${HALF} >$folder/${HALF}.jsonl
     chown -R 1337:1337 .claude`,
  ],
])("starts afresh when it is to resume and %s", async (_why, prepare) => {
  await using session = await image.start({ prepare, env: { CONVOCATE_RESUME: "1" } });
  await ready(await session.attach());
});
