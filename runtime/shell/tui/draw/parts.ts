import type { SessionId } from "../../../domain/index.js";
import type { Key } from "../model/keys.js";
import { findSession, type State } from "../model/state.js";
import { nameOf } from "../model/words.js";
import type { Line, Span } from "./line.js";

/** What is in a dialog's frame. */
export interface Content {
  title: string;
  body: readonly Line[];
  /** Lines that the body has at most while one moves in it: where its top is follows from this, so that it stays there. */
  tallest?: number;
  /** Lines of the body up to the end of what has the focus: a body higher than the screen is scrolled to there. */
  through?: number;
  foot: Line;
}

export const ENTER: Key = { name: "enter" };
export const ESC: Key = { name: "escape" };
export const TAB: Key = { name: "tab" };

/** What keys do, for the foot of a dialog; a click on one is that key. */
export function keys(...pairs: (readonly [key: string, word: string, pressed?: Key])[]): Span[] {
  return pairs.flatMap(([key, word, ...pressed], index): Span[] => [
    [index === 0 ? "" : "   "],
    [key, "accent", ...pressed],
    [` ${word}`, undefined, ...pressed],
  ]);
}

export function nameIn(state: State, id: SessionId): string {
  const view = findSession(state, id);
  return view ? nameOf(view) : "the session";
}
