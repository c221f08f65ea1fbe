import type { StyledText } from "../ansi.js";
import { logsTop } from "../model/answers.js";
import { viewRows } from "../model/layout.js";
import type { LogsDialog, PreviewDialog, State } from "../model/state.js";
import { truncate, wrap } from "../text.js";
import { ENTER, ESC, keys, nameIn, type Content } from "./parts.js";
import { line, type Line } from "./line.js";

/** A session's log: its newest lines, or those scrolled back to. */
export function logsContent(state: State, dialog: LogsDialog, width: number): Content {
  const rows = viewRows(state.size);
  const top = logsTop(state, dialog);
  const seen = dialog.lines.slice(top, top + rows);
  const error = dialog.error === null ? [] : wrap(dialog.error, width).slice(0, 3);
  const body = seen.map(({ timestamp, text }): Line => [[`${clock(timestamp)} `, "dim"], [truncate(text, width - 9)]]);
  const empty = dialog.answered ? "Nothing is in its log yet; what comes appears here." : "Asking for its log…";
  const follows = dialog.back === 0 ? "follows" : `${dialog.back} lines further down`;
  return {
    title: `Log of ${nameIn(state, dialog.id)} (${follows})`,
    body: filled(
      [
        ...(body.length === 0 && error.length === 0 ? [[[empty, "dim"]] satisfies Line] : body.slice(error.length)),
        ...error.map((text): Line => [[text, "bad"]]),
      ],
      rows,
    ),
    foot: keys(["↑↓", "scroll", { name: "pageup" }], ["End", "follow", { name: "end" }], ["Esc", "close", ESC]),
  };
}

/** `HH:MM:SS` here, of a time of RFC 3339. */
function clock(timestamp: string): string {
  return new Date(timestamp).toTimeString().slice(0, 8);
}

/** What a session shows now: the end of its screen, when that is higher than this one. */
export function previewContent(state: State, dialog: PreviewDialog, width: number): Content {
  const rows = viewRows(state.size);
  const { lines, error } = dialog;
  const body: Line[] =
    error !== null
      ? wrap(error, width).map((text): Line => [[text, "bad"]])
      : lines === null
        ? [[["Asking for its screen…", "dim"]]]
        : withoutEmptyEnd(lines)
            .slice(-rows)
            .map((text) => line(text, width));
  return {
    title: `Screen of ${nameIn(state, dialog.id)}`,
    body: filled(body, rows),
    foot: keys(["Enter", "attach", ENTER], ["↑↓", "other sessions", { name: "down" }], ["Esc", "close", ESC]),
  };
}

function withoutEmptyEnd(lines: readonly StyledText[]): readonly StyledText[] {
  const last = lines.findLastIndex((spans) => spans.some(([text]) => text.trim() !== ""));
  return lines.slice(0, last + 1);
}

/** Always as high, so that the frame does not jump while lines come. */
function filled(lines: readonly Line[], rows: number): Line[] {
  return Array.from({ length: rows }, (_, row) => lines[row] ?? []);
}
