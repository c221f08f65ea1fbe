import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { startMessagesApi, type MessagesApi } from "../support/messages-api/server.js";
import type { Screen } from "./screen.js";
import { bridgeAddress, docker, eventually, Session, type SessionOptions } from "./session.js";

// The first build of a machine makes the base image and fetches the CLI.
const BUILD_MS = 15 * 60_000;
jest.setTimeout(120_000);

const IMAGE = "convocate:t-image";
const KEY = "sk-ant-test-0123456789abcdefghij0123456789";
/** Claude's prompt when it waits for words; a dialog has a number after the sign. */
const PROMPT = /^❯\s*$/m;
const ENTER = "\r";
const HALF = "3f0d9c1e-5b1f-4a57-9d3c-5f6f0d2f6f10";

let api: MessagesApi;
let apiUrl: string;

const build = async () => {
  const args = ["build", "--tag", IMAGE];
  const { stdout } = await promisify(execFile)("script/image", args, {
    timeout: BUILD_MS,
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
};
const start = (options: Partial<SessionOptions> = {}) =>
  Session.start({
    image: IMAGE,
    ...options,
    env: { ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: apiUrl, ...options.env },
  });
const ready = async (screen: Screen) => {
  await screen.shows(PROMPT);
  return screen;
};
/** Types a prompt as a person does: the CLI takes text and Enter that come in one piece for a paste. */
const say = async (screen: Screen, text: string) => {
  screen.type(text);
  await screen.shows(text);
  screen.type(ENTER);
};
const prompts = () => api.turns.filter(({ kind }) => kind === "prompt").map(({ text }) => text);
/** The CLI shows an answer a moment before it writes it down; what was never written nobody can resume. */
const noted = (session: Session, words: string) => {
  const search = ["sh", "-c", 'grep -rl "$1" /home/claude/.claude/projects || true', "noted", words];
  return eventually("the answer is noted", async () => (await session.exec(...search)) !== "");
};
const runningClaudes = (session: Session) => session.exec("pgrep", "-c", "-x", "claude").catch(() => "0");

beforeAll(async () => {
  const [, gateway] = await Promise.all([build(), bridgeAddress()]);
  api = await startMessagesApi({ host: "0.0.0.0" });
  apiUrl = `http://${gateway}:${api.port}`;
}, BUILD_MS);
afterAll(async () => {
  await api[Symbol.asyncDispose]();
});

describe("building the image", () => {
  test("prints the image's id and nothing else, and the same one again when nothing changed", async () => {
    const before = Date.now();
    const printed = await build();
    expect(Date.now() - before).toBeLessThan(10_000);
    expect(printed).toBe(`${await docker("image", "inspect", "--format", "{{.Id}}", IMAGE)}\n`);
    expect(await build()).toBe(printed);
  });

  test("refuses bad usage with exit code 2", async () => {
    for (const args of [["build"], ["build", "--tag", "no-tag"], ["build", "--tag", "a:b", "--what"], []]) {
      await expect(promisify(execFile)("script/image", args)).rejects.toMatchObject({ code: 2, stdout: "" });
    }
  });

  test("leaves nothing of the machine in the image, and the CLI in a layer of its own", async () => {
    const left =
      "ls -A /etc/apt/apt.conf.d/00build /usr/sbin/policy-rc.d /var/lib/apt/lists/*Packages* 2>/dev/null || true";
    expect(await docker("run", "--rm", "--entrypoint", "sh", IMAGE, "-c", left)).toBe("");
    expect(await docker("run", "--rm", "--entrypoint", "cat", IMAGE, "/etc/machine-id")).toBe("");
    const layers = (await docker("history", "--no-trunc", "--format", "{{.Size}} {{.CreatedBy}}", IMAGE)).split("\n");
    expect(layers.join("\n")).not.toMatch(/proxy/i);
    // What lies above the CLI is small, so that a change to a script sends no CLI.
    const cli = layers.findIndex((layer) => layer.includes("/usr/local/bin/claude"));
    const above = layers.slice(0, cli).map((layer) => layer.split(" ")[0] ?? "");
    expect(above.length).toBeGreaterThan(2);
    for (const size of above) expect(size).toMatch(/^[\d.]+k?B$/);
  });
});

describe("a session", () => {
  test("starts at Claude's prompt with no dialog, and holds a conversation", async () => {
    await using session = await start();
    const screen = await ready(await session.attach());
    const first = screen.text();
    expect(first).toContain("Claude Code v");
    expect(first).toContain("C-b d detaches");
    expect(first).not.toMatch(/trust|theme|log ?in|Enter to c/i);

    const asked = prompts().length;
    await say(screen, "good morning, 日本");
    await screen.shows("You said: good morning, 日本");
    expect(prompts().slice(asked)).toEqual(["good morning, 日本"]);
  });

  test("shows no secret in any process list", async () => {
    await using session = await start();
    await ready(await session.attach());
    const listed = await docker("exec", session.name, "ps", "-eo", "args");
    expect(listed).toContain("claude");
    expect(listed).not.toContain(KEY.slice(-20));
  });

  test("lets a second operator share the screen, and a read-only one type nothing and shrink nothing", async () => {
    await using session = await start();
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
    await using session = await start();
    const screen = await ready(await session.attach());
    await screen.resize(132, 43);
    await screen.shows(/^─{132}$/m);
  });

  test("takes a terminal that it does not know for an xterm", async () => {
    await using session = await start();
    await ready(await session.attach({ term: "no-such-terminal" }));
  });

  test("goes on after every attach has ended", async () => {
    await using session = await start();
    const screen = await ready(await session.attach());
    screen.type("\x02d");
    expect(await screen.exitCode()).toBe(0);
    await ready(await session.attach());
    expect(await session.inspect("{{.State.Running}}")).toBe("true");
  });

  test("tells what its hooks and its pane say, in its log, to an agent and for one that was away", async () => {
    await using session = await start();
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
    await using session = await start();
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
    await using session = await start();
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
    await using session = await start({
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
    await using session = await start({
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
    await using session = await start();
    await say(await ready(await session.attach()), "before the restart");
    await eventually("the prompt arrives", () => prompts().includes("before the restart"));
    await (await session.attach()).shows("You said: before the restart");
    await noted(session, "You said: before the restart");
    await docker("rm", "--force", session.name);
    const asked = prompts().length;

    await using resumed = await start({ home: session.home, env: { CONVOCATE_RESUME: "1" } });
    const screen = await ready(await resumed.attach());
    await screen.shows("You said: before the restart");
    await say(screen, "after it");
    await screen.shows("You said: after it");
    expect(prompts().slice(asked)).toEqual(["after it"]);
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
    await using session = await start({ prepare, env: { CONVOCATE_RESUME: "1" } });
    await ready(await session.attach());
  });
});

describe("the session's user", () => {
  const unprivileged = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
  // Of every process of that name: the CLI is two of them for as long as it begins a hook.
  const capabilities = (session: Session) =>
    session.exec(
      "sh",
      "-c",
      "for pid in $(pgrep -x claude); do grep -h CapEff /proc/$pid/status; done 2>/dev/null | tr -d '\\t' | sort -u",
    );

  test("has the uid, gid and name that the host says", async () => {
    const env = { CONVOCATE_UID: "2001", CONVOCATE_GID: "2002", CONVOCATE_USER: "ops" };
    await using session = await start({ uid: 2001, prepare: "chown 2001:2002 .", env });
    await ready(await session.attach());
    expect(await session.exec("id")).toBe("uid=2001(ops) gid=2002(ops) groups=2002(ops)");
    expect(await session.exec("stat", "-c", "%u:%g %a", "/home/claude/.claude.json")).toBe("2001:2002 600");
  });

  test("may use sudo when the session says so, and not otherwise", async () => {
    const args = ["NET_RAW", "MKNOD", "AUDIT_WRITE"].flatMap((capability) => ["--cap-drop", capability]);
    await using allowed = await start({ env: { CONVOCATE_SUDO: "1" }, args });
    await ready(await allowed.attach());
    expect(await allowed.exec("sudo", "-n", "id", "-u")).toBe("0");
    await using denied = await start();
    await ready(await denied.attach());
    await expect(denied.exec("sudo", "-n", "id", "-u")).rejects.toThrow("password is required");
  });

  test("runs Claude with no capability when all are dropped but the two that change the user", async () => {
    await using session = await start({ args: [...unprivileged, "--cap-add", "SETUID", "--cap-add", "SETGID"] });
    await ready(await session.attach());
    expect(await capabilities(session)).toBe("CapEff:0000000000000000");
    await docker("stop", session.name);
    expect(await session.inspect("{{.State.ExitCode}}")).toBe("0");
  });

  test("can be the container's own user, with no capability anywhere", async () => {
    await using session = await start({ args: [...unprivileged, "--user", "1337:1337"] });
    await ready(await session.attach());
    expect(await capabilities(session)).toBe("CapEff:0000000000000000");
  });

  test("is told what is wrong when the home is not his, or the settings make no sense", async () => {
    const refusal = async (options: Partial<SessionOptions>) => {
      await using session = await start(options);
      await eventually("the container ends", async () => (await session.inspect("{{.State.Running}}")) === "false");
      expect(await session.inspect("{{.State.ExitCode}}")).toBe("1");
      const { stderr } = await promisify(execFile)("docker", ["logs", session.name]);
      return stderr;
    };
    expect(await refusal({ prepare: "chown 0:0 ." })).toContain(
      "/home/claude cannot be written by uid 1337: on the host",
    );
    expect(await refusal({ env: { CONVOCATE_UID: "0" } })).toContain("CONVOCATE_UID must be a number from 1 up: 0");
    expect(await refusal({ env: { CONVOCATE_USER: "a:b" } })).toContain("CONVOCATE_USER is not a user name: a:b");
    expect(await refusal({ args: unprivileged })).toContain("cannot become uid 1337: create the container with");
  });
});

describe("seeding the home", () => {
  test("adds what keeps dialogs away and overwrites nothing that the user has", async () => {
    const own = {
      theme: "light",
      hasCompletedOnboarding: true,
      projects: { "/home/claude": { allowedTools: ["x"] }, "/elsewhere": { hasTrustDialogAccepted: false } },
      customApiKeyResponses: { approved: ["another"], rejected: ["refused"] },
    };
    await using session = await start({
      prepare: `echo '${JSON.stringify(own)}' >.claude.json; chown 1337:1337 .claude.json`,
    });
    await ready(await session.attach());
    expect(JSON.parse(await session.exec("cat", "/home/claude/.claude.json"))).toMatchObject({
      ...own,
      projects: { ...own.projects, "/home/claude": { allowedTools: ["x"], hasTrustDialogAccepted: true } },
      customApiKeyResponses: { approved: ["another", KEY.slice(-20)], rejected: ["refused"] },
    });
  });

  test("takes the host's login when the session has none, and keeps the session's own", async () => {
    const shared = (own: string) =>
      `mkdir .claude-shared .claude; echo host >.claude-shared/.credentials.json; ${own} chown -R 1337:1337 .claude .claude-shared`;
    const credentials = (session: Session) =>
      session.exec("sh", "-c", "cd /home/claude/.claude && stat -c %a .credentials.json && cat .credentials.json");
    await using without = await start({ prepare: shared("") });
    await eventually("tmux runs", () =>
      without.exec("tmux", "has-session").then(
        () => true,
        () => false,
      ),
    );
    expect(await credentials(without)).toBe("600\nhost");
    await using withOwn = await start({ prepare: shared("echo own >.claude/.credentials.json;") });
    await eventually("tmux runs", () =>
      withOwn.exec("tmux", "has-session").then(
        () => true,
        () => false,
      ),
    );
    expect(await credentials(withOwn)).toMatch(/own$/);
  });

  test("leaves a file alone that is not JSON", async () => {
    await using session = await start({ prepare: "echo '{broken' >.claude.json; chown 1337:1337 .claude.json" });
    await eventually("tmux runs", () =>
      session.exec("tmux", "has-session").then(
        () => true,
        () => false,
      ),
    );
    const { stderr } = await promisify(execFile)("docker", ["logs", session.name]);
    expect(stderr).toContain("the home is not seeded");
  });
});
