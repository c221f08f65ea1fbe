import { describe, expect, test } from "@jest/globals";
import { UNHEARD, nextMood, type Mood } from "./mood.js";
import type { Told } from "./told.js";

type Line = string | [event: string, more: Partial<Told>];

/** What is known after these lines, a second apart: `waiting permission`, `working`, `idle`, … and since which of them. */
function after(...lines: Line[]): string {
  let mood: Mood = UNHEARD;
  lines.forEach((line, at) => {
    const [event, more] = typeof line === "string" ? [line, {}] : line;
    mood = nextMood(mood, { event, at_ms: at, ...more }, at);
  });
  const why = mood.kind === "waiting" ? ` ${mood.why}` : "";
  return `${mood.kind}${why}${"sinceMs" in mood ? ` @${mood.sinceMs}` : ""}`;
}

const prompt = "UserPromptSubmit";
const pre = "PreToolUse";
const post = "PostToolUse";
const permission: Line = ["PermissionRequest", { tool: "Bash" }];
const question: Line = ["PermissionRequest", { tool: "AskUserQuestion" }];
const still: Line = ["still", { dialog: false }];
const stillDialog: Line = ["still", { dialog: true }];

describe("a session's mood", () => {
  test("is unheard until something is told, and idle when its CLI has just started", () => {
    expect(after()).toBe("unheard");
    expect(after("SessionStart")).toBe("idle");
    expect(after("SessionStart", still)).toBe("idle");
    expect(after(prompt, "SessionEnd")).toBe("idle");
  });

  test("is working from a prompt on, and waiting with the reason that the hook tells", () => {
    expect(after(prompt)).toBe("working @0");
    expect(after(prompt, pre, post)).toBe("working @0");
    expect(after(prompt, "Stop")).toBe("waiting finished @1");
    expect(after(prompt, "StopFailure")).toBe("waiting api-error @1");
    expect(after(prompt, pre, permission)).toBe("waiting permission @2");
    expect(after(prompt, pre, question)).toBe("waiting question @2");
    expect(after(prompt, "Stop", prompt)).toBe("working @2");
  });

  test("is working again once the tool that was allowed has ended, or sooner when the pane is lively", () => {
    expect(after(prompt, pre, permission, post)).toBe("working @3");
    expect(after(prompt, pre, permission, stillDialog, "lively")).toBe("working @4");
    expect(after(prompt, pre, permission, "PostToolUseFailure")).toBe("working @3");
  });

  test("is waiting for its user after Esc, which fires no hook: the pane is still", () => {
    expect(after(prompt, still)).toBe("waiting silent @1");
    expect(after(prompt, pre, permission, stillDialog)).toBe("waiting permission @2");
    expect(after(prompt, pre, permission, stillDialog, still)).toBe("waiting silent @4");
    expect(after(prompt, still, "lively")).toBe("working @2");
    expect(after(prompt, still, prompt)).toBe("working @2");
  });

  test("keeps to the dialog while one is on the screen, whatever moves there", () => {
    expect(after(prompt, pre, permission, "lively", stillDialog)).toBe("waiting permission @4");
    expect(after(prompt, pre, question, "lively", stillDialog)).toBe("waiting question @4");
    // Two tools at once: the first has ended, the second asks.
    expect(after(prompt, pre, pre, permission, post, stillDialog)).toBe("waiting permission @5");
    expect(after(prompt, pre, permission, pre)).toBe("waiting permission @2");
  });

  test("is not changed by what moved before a dialog showed", () => {
    expect(after(prompt, pre, permission, ["lively", { since_ms: 1 }])).toBe("waiting permission @2");
    expect(after(prompt, pre, permission, ["lively", { since_ms: 3 }])).toBe("working @3");
  });

  test("does not take a user who types at the prompt for a CLI that works", () => {
    expect(after(prompt, "Stop", "lively", still)).toBe("waiting finished @1");
    expect(after("SessionStart", "lively")).toBe("idle");
  });

  test("is not ended by a compaction in the middle of a turn, and a stray line means nothing", () => {
    expect(after(prompt, ["SessionStart", { text: "compact" }])).toBe("working @0");
    expect(after(prompt, "Stop", post)).toBe("waiting finished @1");
    expect(after(prompt, "SomethingNewer")).toBe("working @0");
  });
});
