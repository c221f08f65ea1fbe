import type { WaitingWhy } from "../../domain/index.js";
import type { Told } from "./told.js";

type Asked = Extract<WaitingWhy, "permission" | "question">;

/**
 * Whether a session's CLI works or waits (SPEC 6.6). `unheard`: it has not shown itself yet. `idle`: it did, and was asked for
 * nothing. `asked` is what a dialog of this turn asked last, for when only the screen tells that it is still there.
 */
export type Mood =
  | { kind: "unheard" }
  | { kind: "idle" }
  | { kind: "working"; sinceMs: number; asked: Asked | null }
  | { kind: "waiting"; why: WaitingWhy; sinceMs: number; asked: Asked | null };

export const UNHEARD: Mood = { kind: "unheard" };

/**
 * The mood after one more line. Hooks say most of it. They are silent when Esc ends a turn or closes a dialog, and from the
 * answer to a dialog until the tool it allowed has ended; there the pane tells: the CLI's spinner redraws several times a
 * second while it works, and nothing moves while it waits. Pure.
 */
export function nextMood(mood: Mood, told: Told, atMs: number): Mood {
  const asked = "asked" in mood ? mood.asked : null;
  const why = mood.kind === "waiting" ? mood.why : null;
  const working = (keep: Asked | null): Mood =>
    mood.kind === "working" ? { ...mood, asked: keep } : { kind: "working", sinceMs: atMs, asked: keep };
  const waiting = (now: WaitingWhy, keep: Asked | null): Mood =>
    why === now ? mood : { kind: "waiting", why: now, sinceMs: atMs, asked: keep };

  switch (told.event) {
    case "SessionStart":
      // The CLI also starts anew in the middle of a turn, when it compacts the conversation.
      return told.text === "compact" && mood.kind !== "unheard" ? mood : { kind: "idle" };
    case "SessionEnd":
      return { kind: "idle" };
    case "UserPromptSubmit":
      return { kind: "working", sinceMs: atMs, asked: null };
    case "PermissionRequest": {
      const now = told.tool === "AskUserQuestion" ? "question" : "permission";
      return { kind: "waiting", why: now, sinceMs: atMs, asked: now };
    }
    case "PreToolUse":
      // Of another tool, while the dialog of the first one waits.
      return why === "permission" || why === "question" ? mood : working(asked);
    case "PostToolUse":
    case "PostToolUseFailure":
      return why === "finished" || why === "api-error" ? mood : working(asked);
    case "Stop":
      return waiting("finished", null);
    case "StopFailure":
      return waiting("api-error", null);
    case "still":
      if (mood.kind === "working") return waiting(told.dialog && asked ? asked : "silent", asked);
      return (why === "permission" || why === "question") && told.dialog === false ? waiting("silent", null) : mood;
    case "lively":
      // Not by what moved before the dialog showed.
      if (mood.kind === "waiting" && (told.since_ms ?? told.at_ms) < mood.sinceMs) return mood;
      return why === "permission" || why === "question" || why === "silent" ? working(asked) : mood;
    default:
      return mood;
  }
}

/** Whether the two look the same from outside. */
export function sameMood(one: Mood, other: Mood): boolean {
  return one.kind === other.kind && (one.kind !== "waiting" || other.kind !== "waiting" || one.why === other.why);
}
