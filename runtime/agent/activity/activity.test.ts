import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { eventually } from "../../../test/support/eventually.js";
import { newSessionId, type SessionId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { FakeDocker } from "../../../test/agent/fake-docker.js";
import { systemClock } from "../clock.js";
import { containerName } from "../containers/spec.js";
import { Activity } from "./activity.js";

let root: string;
let docker: FakeDocker;
let activity: Activity;
let id: SessionId;
let events: string[];
let warnings: string[];
const STARTED = new Date(Date.now() - 3_600_000).toISOString();

const open = (clock = systemClock): Activity => {
  const warn = (fields: Record<string, unknown>, message: string): void => void warnings.push(message);
  const log: Log = { info: () => undefined, warn, error: warn };
  return new Activity({
    folder: join(root, "running"),
    owner: { uid: process.getuid!(), gid: process.getgid!() },
    docker,
    events: {
      emit: (type, session, data) =>
        void events.push(`${type} ${typeof data.why === "string" ? data.why : ""} ${session ?? ""}`),
    },
    clock,
    log,
  });
};

/** Tells lines as the image does; false when nobody listens. */
const tell = async (...lines: string[]): Promise<boolean> =>
  await new Promise((resolve) => {
    const socket = createConnection(join(root, "running", id, "hooks.sock"));
    socket.once("connect", () => socket.end(lines.map((line) => `${line}\n`).join("")));
    socket.once("close", (failed) => resolve(!failed));
    socket.on("error", () => undefined).resume();
  });
const line = (event: string, more: object = {}): string => JSON.stringify({ event, at_ms: Date.now(), ...more });
const seen = (): string => {
  const { activity: now, starting } = activity.of(id, STARTED);
  return now ? `${now.kind} ${now.why ?? ""}`.trim() : String(starting ?? "nothing");
};
const until = (wanted: string): Promise<true> => eventually(`${wanted} to be seen`, () => seen() === wanted);

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "cv-act-"));
  docker = new FakeDocker();
  events = [];
  warnings = [];
  id = newSessionId();
  activity = open();
  await activity.reopen(() => true);
});
afterEach(async () => {
  await activity[Symbol.asyncDispose]();
  rmSync(root, { recursive: true });
});

describe("Activity", () => {
  test("of a session that changes its mood all the time tells the changes of a second as one, and the last of them", async () => {
    await activity.open(id);
    const flips = Array.from({ length: 15 }, () => [
      line("UserPromptSubmit"),
      line("PermissionRequest", { tool: "Bash" }),
    ]).flat();
    expect(await tell(...flips)).toBe(true);
    await until("waiting permission");
    const first = events.length;
    expect(first).toBeLessThanOrEqual(21);
    await tell(line("UserPromptSubmit"));
    await until("working");
    await eventually("the last change to be told", () => events.at(-1)?.startsWith("session.working"));
    expect(events.length).toBeLessThanOrEqual(first + 2);
  });

  test("turns what a session's hooks tell into its status and into events, each change once", async () => {
    const folder = await activity.open(id);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, "hooks.sock")).mode & 0o777).toBe(0o600);
    await tell(line("UserPromptSubmit"), line("PreToolUse", { tool: "Bash" }));
    await until("working");
    await tell(line("PermissionRequest", { tool: "Bash" }));
    await until("waiting permission");
    await tell(line("PostToolUse", { tool: "Bash" }), line("Stop"));
    await until("waiting finished");
    expect(events).toEqual([
      `session.working  ${id}`,
      `session.waiting permission ${id}`,
      `session.working  ${id}`,
      `session.waiting finished ${id}`,
    ]);
  });

  test("says that a session is starting until its CLI has shown itself, and not for ever", async () => {
    expect(activity.of(id, new Date().toISOString())).toEqual({});
    await activity.open(id);
    expect(activity.of(id, new Date().toISOString())).toEqual({ starting: true });
    expect(activity.of(id, STARTED)).toEqual({});
    // The host's clock was set back since.
    expect(activity.of(id, new Date(Date.now() + 3_600_000).toISOString())).toEqual({});
    await tell(line("SessionStart", { text: "startup" }));
    await eventually("the start to be over", () => !activity.of(id, new Date().toISOString()).starting);
    expect(activity.of(id, new Date().toISOString())).toEqual({});
  });

  test("drops what it cannot understand, says so once, and goes on", async () => {
    await activity.open(id);
    await tell("no JSON", "[]", '{"event":1}', `{"event":"Stop","at_ms":1,"text":"${"x".repeat(20_000)}"}`);
    await tell("no JSON either");
    await tell(line("UserPromptSubmit"));
    await until("working");
    expect(warnings).toEqual(["a session's hooks: it told something that cannot be understood"]);
  });

  test("does not listen to a session that tells too much, and asks for what it missed afterwards", async () => {
    await activity.open(id);
    docker.images.add("i");
    await docker.create({ name: containerName(id), Image: "i" });
    await docker.start(containerName(id));
    docker.onRun = () => ({ exitCode: 0, output: `${line("StopFailure")}\n` });
    await tell(...Array.from({ length: 1_000 }, () => line("PreToolUse")));
    await sleep(100);
    expect(await tell(line("Stop"))).toBe(false);
    await until("working");
    await until("waiting api-error");
    await tell(line("UserPromptSubmit"));
    await until("working");
  }, 20_000);

  test("listens again as soon as it can, where at first it could not", async () => {
    const waits: number[] = [];
    const sleep = (ms: number, signal?: AbortSignal): Promise<void> => (waits.push(ms), systemClock.sleep(50, signal));
    await activity[Symbol.asyncDispose]();
    activity = open({ ...systemClock, sleep });
    await activity.open(id);
    await tell(...Array.from({ length: 1_000 }, () => line("PreToolUse")));
    rmSync(join(root, "running", id), { recursive: true });
    await eventually("two vain tries", () => waits.length > 2);
    mkdirSync(join(root, "running", id));
    await eventually("it to be listened to", () => tell(line("Stop")));
    await until("waiting finished");
  }, 20_000);

  test("an agent that starts again listens where it did, and reads what was told meanwhile", async () => {
    await activity.open(id);
    const gone = newSessionId();
    mkdirSync(join(root, "running", gone), { recursive: true });
    docker.images.add("i");
    await docker.create({ name: containerName(id), Image: "i" });
    await docker.start(containerName(id));
    await activity[Symbol.asyncDispose]();
    expect(await tell(line("Stop"))).toBe(false);

    activity = open();
    await activity.reopen((one) => one === id);
    expect(existsSync(join(root, "running", gone))).toBe(false);
    const told = [line("UserPromptSubmit"), line("PermissionRequest", { tool: "AskUserQuestion" })];
    docker.onRun = (request) => {
      expect(request.argv[0]).toBe("tail");
      return { exitCode: 0, output: `"cut":1}\n${told.join("\n")}\n` };
    };
    await activity.catchUp(id);
    expect(seen()).toBe("waiting question");
    await tell(line("PostToolUse"));
    await until("working");
  });

  test("leaves nothing of a session that is deleted", async () => {
    const folder = await activity.open(id);
    await activity.close(id);
    expect(existsSync(folder)).toBe(false);
    expect(seen()).toBe("nothing");
    await activity.close(id);
  });
});
