import type { SessionView } from "../../cluster.js";
import { fieldsOf, formProblems, type CreateForm, type Field } from "../model/form.js";
import { dialogWidth, errorRows } from "../model/layout.js";
import { findSession, type Dialog, type Question, type State } from "../model/state.js";
import { nameOf } from "../model/words.js";
import { clean, fit, widthOf, wrap } from "../text.js";
import { line, type Span } from "./line.js";
import type { Paint } from "./paint.js";

/** An open dialog as lines of one width, and where its top left corner is. */
export interface Panel {
  lines: string[];
  left: number;
  top: number;
}

type Body = readonly (readonly Span[])[];

export function dialogPanel(state: State, paint: Paint): Panel | null {
  if (state.dialog === null) return null;
  const width = dialogWidth(state.size);
  const { title, body, foot } = contentOf(state, state.dialog, width);
  const edge = (text: string): string => paint("border", text);
  const inner = (spans: readonly Span[]): string => edge("│") + " " + line(spans, width, paint) + " " + edge("│");
  const heading = ` ${fit(clean(title), width - 4).trimEnd()} `;
  const lines = [
    edge("╭─") + paint("accent", heading) + edge(`${"─".repeat(Math.max(0, width + 1 - widthOf(heading)))}╮`),
    inner([]),
    ...body.map(inner),
    inner([]),
    inner(foot),
    edge(`╰${"─".repeat(width + 2)}╯`),
  ];
  return {
    lines,
    left: Math.max(0, Math.floor((state.size.cols - width - 4) / 2)),
    top: Math.max(0, Math.floor((state.size.rows - lines.length) / 2)),
  };
}

function contentOf(state: State, dialog: Dialog, width: number): { title: string; body: Body; foot: Span[] } {
  switch (dialog.kind) {
    case "help":
      return { title: "Help", body: HELP, foot: keys(["Esc", "close"]) };
    case "error": {
      const all = wrap(dialog.text, width);
      const shown = all.slice(dialog.scroll, dialog.scroll + errorRows(state.size));
      const more = all.length > shown.length ? ([["↑↓", "scroll"]] as const) : [];
      return {
        title: dialog.title,
        body: shown.map((text) => [[text]]),
        foot: keys(...more, ["Enter", dialog.form ? "back to the form" : "close"]),
      };
    }
    case "ask":
      return askContent(state, dialog, width);
    case "starting":
      return {
        title: "Start and attach",
        body: [[[`Starting ${nameIn(state, dialog.id)}…`]]],
        foot: keys(["Esc", "stop waiting"]),
      };
    case "create":
      return createContent(state, dialog.form, width);
  }
}

function keys(...pairs: (readonly [string, string])[]): Span[] {
  return pairs.flatMap(([key, word], index): Span[] => [[index === 0 ? "" : "   "], [key, "accent"], [` ${word}`]]);
}

function nameIn(state: State, id: SessionView["session"]["id"]): string {
  const view = findSession(state, id);
  return view ? nameOf(view) : "the session";
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
};

function askContent(
  state: State,
  dialog: Extract<Dialog, { kind: "ask" }>,
  width: number,
): { title: string; body: Body; foot: Span[] } {
  const { title, yes, no, text } = ASK[dialog.question];
  const view = findSession(state, dialog.id);
  const status = view?.session.status;
  const attached = status?.state === "running" ? status.attached : 0;
  const dangerous = dialog.question === "delete";
  const warning: Span[][] =
    dangerous && status?.state === "running"
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
      [button(yes, dialog.focus === "yes"), ["   "], button(no, dialog.focus === "no")],
    ],
    foot: keys(["Enter", "choose"], ["y", "yes"], ["n", "no"], ["Esc", "cancel"]),
  };
}

/** The focused button is told apart by its brackets too, for screens without inverse. */
function button(text: string, focused: boolean): Span {
  return focused ? [`[ ${text} ]`, "selected"] : [`  ${text}  `];
}

function createContent(state: State, form: CreateForm, width: number): { title: string; body: Body; foot: Span[] } {
  const problems = formProblems(form, state.snapshot);
  const body: Span[][] = [];
  for (const field of fieldsOf(state.snapshot)) {
    const focused = form.focus === field;
    body.push([
      [focused ? "› " : "  ", "accent"],
      [fit(LABEL[field], 8), focused ? "bold" : "dim"],
      ...valueOf(field, state, form, focused),
    ]);
    const problem = field === "start" ? undefined : problems[field];
    const hint = focused ? HINT[field] : "";
    for (const text of wrap(problem ?? hint, width - 10)) body.push([["          "], [text, problem ? "bad" : "dim"]]);
  }
  if (problems.agent !== undefined && !fieldsOf(state.snapshot).includes("agent")) body.push([[problems.agent, "bad"]]);
  return {
    title: "New session",
    body,
    foot: keys(["Enter", "create"], ["Tab", "next field"], ["Esc", "cancel"]),
  };
}

const LABEL: Record<Field, string> = { name: "Name", agent: "Agent", port: "Port", start: "Start" };
const HINT: Record<Field, string> = {
  name: "letters, digits, - and _",
  agent: "left and right choose",
  port: "published port: 8080, 5353/udp, auto, or nothing",
  start: "Space turns it over",
};

function valueOf(field: Field, state: State, form: CreateForm, focused: boolean): Span[] {
  if (field === "start") return [[form.start ? "[x] start it now" : "[ ] start it now"]];
  if (field === "agent") {
    const agent = state.snapshot.agents.find(({ view }) => view.id === form.agent);
    const name = agent?.view.name ?? "?";
    const note = agent ? (agent.state === "connecting" ? "  does not answer" : `  ${agent.running} running`) : "";
    return [[focused ? `‹ ${name} ›` : name, focused ? "bold" : undefined] as Span, [note, "dim"]];
  }
  return focused ? [[form[field]], [" ", "selected"]] : [[form[field]]];
}

const HELP: Body = [
  [["Sessions", "bold"]],
  ...(
    [
      ["↑ ↓  j k", "move; PgUp, PgDn, Home and End go further"],
      ["Enter", "attach; leave an attach with Ctrl-b d"],
      ["N", "new session"],
      ["B", "background: detach everybody, it runs on"],
      ["R", "restart; a running one only after you confirm"],
      ["K", "kill: stop it (k moves up)"],
      ["D", "delete it with its files"],
      ["?  Q", "this help; quit (Ctrl-C quits too)"],
    ] as const
  ).map(([key, text]): Span[] => [["  "], [fit(key, 10), "accent"], [text]]),
  [],
  [["Status", "bold"]],
  [
    ["  "],
    ["R", "okBold"],
    [" running   "],
    ["C", "accent"],
    [" connected   "],
    ["-", "dim"],
    [" stopped   "],
    ["L", "warnBold"],
    [" locked"],
  ],
  [["  "], ["!", "badBold"], [" Docker error   "], ["?", "dim"], [" its agent does not answer now"]],
];
