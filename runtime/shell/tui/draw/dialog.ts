import { dialogWidth, errorRows } from "../model/layout.js";
import type { Key } from "../model/keys.js";
import { findSession, type Dialog, type Question, type State } from "../model/state.js";
import { clean, fit, widthOf, wrap } from "../text.js";
import { formContent, settingsContent } from "./form.js";
import { helpContent } from "./help.js";
import { line, type Line, type Span } from "./line.js";
import { ENTER, ESC, keys, nameIn, type Content } from "./parts.js";
import { logsContent, previewContent } from "./views.js";

/** An open dialog as lines of one width, and where its top left corner is. */
export interface Panel {
  lines: Line[];
  left: number;
  top: number;
}

export function dialogPanel(state: State): Panel | null {
  if (state.dialog === null) return null;
  const width = dialogWidth(state.size, state.dialog.kind);
  const { title, body: whole, tallest = 0, through = 0, foot } = contentOf(state, state.dialog, width);
  // Title, foot and frame are always there: they say how to leave.
  const room = state.size.rows - 3;
  const from = Math.max(0, through - room);
  const body = whole.slice(from, from + room);
  const [border, heads] =
    state.dialog.kind === "error" && state.dialog.bad ? (["bad", "badBold"] as const) : (["border", "accent"] as const);
  const inner = (spans: Line): Line => [["│", border], [" "], ...line(spans, width), [" "], ["│", border]];
  const heading = ` ${fit(clean(title), width - 4).trimEnd()} `;
  const lines: Line[] = [
    [
      ["╭─", border],
      [heading, heads],
      [`${"─".repeat(Math.max(0, width + 1 - widthOf(heading)))}╮`, border],
    ],
    // A dialog as high as the screen does without its empty lines.
    ...(body.length + 5 > state.size.rows ? body.map(inner) : [inner([]), ...body.map(inner), inner([])]),
    inner(foot),
    [[`╰${"─".repeat(width + 2)}╯`, border]],
  ];
  return {
    lines,
    left: Math.max(0, Math.floor((state.size.cols - width - 4) / 2)),
    top: Math.max(0, Math.floor((state.size.rows - lines.length - Math.max(0, tallest - body.length)) / 2)),
  };
}

function contentOf(state: State, dialog: Dialog, width: number): Content {
  switch (dialog.kind) {
    case "help":
      return helpContent(state, dialog);
    case "error": {
      const all = wrap(dialog.text, width);
      const shown = all.slice(dialog.scroll, dialog.scroll + errorRows(state.size));
      const more = all.length > shown.length ? ([["↑↓", "scroll", { name: "down" }]] as const) : [];
      const back = dialog.back
        ? ([
            ["Enter", "back to the form", ENTER],
            ["Esc", "drop it", ESC],
          ] as const)
        : ([["Enter", "close", ENTER]] as const);
      return { title: dialog.title, body: shown.map((text) => [[text]]), foot: keys(...more, ...back) };
    }
    case "ask":
      return askContent(state, dialog, width);
    case "starting":
      return {
        title: "Start and attach",
        body: [[[`Starting ${nameIn(state, dialog.id)}…`]]],
        foot: keys(["Esc", "stop waiting", ESC]),
      };
    case "form":
      return formContent(state, dialog, width);
    case "settings":
      return settingsContent(state, dialog, width);
    case "logs":
      return logsContent(state, dialog, width);
    case "preview":
      return previewContent(state, dialog, width);
  }
}

const ASK: Record<Question, { title: string; yes: string; no: string; text: (name: string) => string }> = {
  start: {
    title: "Not running",
    yes: "Start and attach",
    no: "Cancel",
    text: (name) => `${name} is not running.`,
  },
  restart: {
    title: "Restart",
    yes: "Stop and start again",
    no: "Cancel",
    text: (name) => `${name} is running. Stop it first, by force, and start it again? What it is doing now ends.`,
  },
  kill: {
    title: "Kill",
    yes: "Kill",
    no: "Cancel",
    text: (name) => `Stop ${name}? It has 10 seconds to end by itself. It stays stopped until you restart it.`,
  },
  delete: {
    title: "Delete",
    yes: "Delete for ever",
    no: "Keep it",
    text: (name) =>
      `Delete ${name}? Its container, its home directory with all files in it, and its name are gone for ever.`,
  },
  override: {
    title: "Clear the lock",
    yes: "Clear it",
    no: "Cancel",
    text: (name) => `Nobody works on ${name} any more, but its lock is still there. Clear it?`,
  },
  "override-live": {
    title: "Clear a live lock",
    yes: "Clear it by force",
    no: "Leave it",
    text: (name) =>
      `An operation works on ${name} right now. Clear its lock by force? Two operations at once can leave it half done.`,
  },
};

const RISKY: ReadonlySet<Question> = new Set<Question>(["delete", "override-live"]);

function askContent(state: State, dialog: Extract<Dialog, { kind: "ask" }>, width: number): Content {
  const { title, yes, no, text } = ASK[dialog.question];
  const view = findSession(state, dialog.id);
  const status = view?.session.status;
  const attached = status?.state === "running" ? status.attached : 0;
  const warning: Span[][] =
    RISKY.has(dialog.question) && status?.state === "running"
      ? [[[attached > 0 ? `It is running, with ${attached} attached.` : "It is running.", "warnBold"]]]
      : attached > 0
        ? [[[`${attached} attached now.`, "warnBold"]]]
        : [];
  return {
    title,
    body: [
      ...wrap(text(nameIn(state, dialog.id)), width).map((part): Span[] => [[part]]),
      ...warning,
      [],
      [
        button(yes, dialog.focus === "yes", { name: "char", char: "y" }),
        ["   "],
        button(no, dialog.focus === "no", { name: "char", char: "n" }),
      ],
    ],
    foot: keys(["Enter", "choose", ENTER], ["y", "yes"], ["n", "no"], ["Esc", "cancel", ESC]),
  };
}

/** The focused button is told apart by its brackets too, for screens without inverse. */
function button(text: string, focused: boolean, key: Key): Span {
  return focused ? [`[ ${text} ]`, "selected", key] : [`  ${text}  `, undefined, key];
}
