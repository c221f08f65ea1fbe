import { labelsText, shortDuration, type AgentStatus } from "../../../domain/index.js";
import { aroundCursor, YES, type Choice, type Field, type Form, type Problems } from "../model/form.js";
import { fieldsOf, problemsOf, type FormSubject } from "../model/forms.js";
import { settingsFields, settingsProblems } from "../model/settings.js";
import { agentRow } from "../model/snapshot.js";
import type { FormDialog, SettingsDialog, State } from "../model/state.js";
import { bytesText, coresText, fit, truncate, widthOf, wrap } from "../text.js";
import { ENTER, ESC, keys, TAB, nameIn, type Content } from "./parts.js";
import type { Line, Span } from "./line.js";

const LABEL_WIDTH = 11;
/** Choices seen at once under a focused field. */
const CHOICES_SEEN = 5;

export function formContent(state: State, dialog: FormDialog, width: number): Content {
  const { subject, form } = dialog;
  const fields = fieldsOf(subject, state.snapshot);
  const problems = problemsOf(subject, form, state.snapshot);
  const body = fieldLines(form, fields, problems, width);
  const hidden = problems["agent"];
  if (hidden !== undefined && !fields.some(({ name }) => name === "agent")) body.push([[hidden, "bad"]]);
  const { title, verb, note } = WORDS[subject.form];
  const about = note(subject, state);
  const above: Line[] = about === "" ? [] : [...wrap(about, width).map((text): Line => [[text]]), []];
  return {
    title,
    body: [...above, ...body],
    tallest: above.length + tallestOf(form, fields, problems, width),
    through: above.length + throughFocus(form, fields, problems, width),
    foot: keys(["Enter", verb, ENTER], ...(fields.length > 1 ? ([["Tab", "next field", TAB]] as const) : []), [
      "Esc",
      "cancel",
      ESC,
    ]),
  };
}

const WORDS: Record<
  FormSubject["form"],
  { title: string; verb: string; note: (subject: FormSubject, state: State) => string }
> = {
  create: { title: "New session", verb: "create", note: () => "" },
  clone: {
    title: "Clone",
    verb: "clone",
    note: (subject, state) => `A copy of ${about(subject, state)} with its whole home, with no port and no DNS name.`,
  },
  edit: {
    title: "Edit",
    verb: "change",
    note: (subject, state) =>
      `${about(subject, state)}. All but the name takes effect when it is started the next time.`,
  },
  move: {
    title: "Move",
    verb: "move",
    note: (subject, state) =>
      `${about(subject, state)} is stopped, copied with its whole home, compared, and only then deleted where it was. It runs again there when it ran.`,
  },
};

function about(subject: FormSubject, state: State): string {
  return "id" in subject ? nameIn(state, subject.id) : "";
}

export function settingsContent(state: State, dialog: SettingsDialog, width: number): Content {
  const { loaded, form, error } = dialog;
  const fields = settingsFields(state.snapshot, loaded);
  const body: Line[] = [...agentFacts(state, dialog), []];
  if (error !== null) for (const text of wrap(error, width)) body.push([[text, "bad"]]);
  else if (!loaded) body.push([["Asking for its settings…", "dim"]]);
  const [agent, ...others] = fields;
  const problems = settingsProblems(form, loaded);
  return {
    title: "Settings",
    body: [
      ...fieldLines(form, agent ? [agent] : [], problems, width),
      ...body,
      ...fieldLines(form, others, problems, width),
    ],
    tallest: body.length + tallestOf(form, fields, problems, width),
    // The agent is the first line of all, and what is said of it follows the fields.
    through: form.focus === agent?.name ? 0 : body.length + throughFocus(form, fields, problems, width),
    foot: keys(["Enter", "save", ENTER], ["Tab", "next field", TAB], ["Esc", "leave", ESC]),
  };
}

/** Versions, and what the agent has and promised. */
function agentFacts(state: State, { agent }: SettingsDialog): Line[] {
  const row = agentRow(state.snapshot, agent);
  if (!row) return [[["This agent is gone.", "bad"]]];
  const { view, capacity } = row;
  const fact = (label: string, text: string): Line => [["  "], [fit(label, LABEL_WIDTH), "dim"], [text]];
  const since = shortDuration(state.nowMs - view.connection.since);
  const connection = view.connection.state === "connected" ? `connected for ${since}` : `does not answer for ${since}`;
  const labels = labelsText(view.labels ?? {});
  return [
    fact("Release", `${view.release ?? "not known"}, image ${view.image ?? "not known"}`),
    fact("Address", `${view.address}, ${connection}`),
    ...(labels === "" ? [] : [fact("Labels", labels)]),
    ...(view.heard ? [fact("Events", eventsText(view.heard, state.nowMs))] : []),
    ...(capacity
      ? [
          fact(
            "Host",
            `${coresText(capacity.total.cpus)}, ${bytesText(capacity.total.memory_bytes)} memory, ${bytesText(capacity.total.disk_bytes)} disk`,
          ),
          fact(
            "Promised",
            `${coresText(capacity.pledged.cpus)} of ${coresText(capacity.allowed.cpus)}, ${bytesText(capacity.pledged.memory_bytes)} of ${bytesText(capacity.allowed.memory_bytes)}`,
          ),
          ...capacity.warnings.slice(0, 3).map((text): Line => [["  "], [text, "warn"]]),
        ]
      : []),
  ];
}

/** What convocate-status hears of an agent. */
function eventsText({ connection, since, last_heartbeat_at, peer_lost_since }: AgentStatus, nowMs: number): string {
  const ago = (at: string): string => shortDuration(nowMs - Date.parse(at));
  if (connection === "silent") return `none for ${ago(last_heartbeat_at ?? since)}`;
  const beat = last_heartbeat_at ? `heartbeat ${ago(last_heartbeat_at)} ago` : "no heartbeat yet";
  return peer_lost_since ? `${beat}; it hears nothing from here for ${ago(peer_lost_since)}` : beat;
}

/** Lines of the fields when the one that takes most is focused. */
function tallestOf(form: Form, fields: readonly Field[], problems: Problems, width: number): number {
  return Math.max(0, ...fields.map(({ name }) => fieldLines({ ...form, focus: name }, fields, problems, width).length));
}

/** Lines up to the end of what is said of the focused field. */
function throughFocus(form: Form, fields: readonly Field[], problems: Problems, width: number): number {
  const at = fields.findIndex(({ name }) => name === form.focus);
  return fieldLines(form, fields.slice(0, at + 1), problems, width).length;
}

/** The fields, one below the other, with what there is to say of the focused one and of those that are wrong. */
function fieldLines(form: Form, fields: readonly Field[], problems: Problems, width: number): Line[] {
  const lines: Line[] = [];
  const indent = " ".repeat(LABEL_WIDTH + 2);
  for (const field of fields) {
    const focused = form.focus === field.name;
    lines.push([
      [focused ? "› " : "  ", "accent"],
      [fit(field.label, LABEL_WIDTH), focused ? "bold" : "dim"],
      ...valueSpans(field, form, focused, width - LABEL_WIDTH - 2),
    ]);
    // Choices that nothing is said of are seen one after the other, in the field.
    if (focused && field.kind === "choice" && field.choices.some(({ note }) => note !== ""))
      lines.push(...choiceLines(field.choices, form.values[field.name], indent));
    // A line for each chosen one when any has more to say, so that nothing moves while one chooses.
    if (focused && field.kind === "choice" && field.choices.some(({ more }) => more !== undefined))
      lines.push([[indent], [truncate(moreOf(field.choices, form.values[field.name]), width - indent.length), "dim"]]);
    const problem = problems[field.name];
    const hint = focused ? field.hint : "";
    if (problem !== undefined || hint !== "")
      for (const text of wrap(problem ?? hint, width - indent.length))
        lines.push([[indent], [text, problem === undefined ? "dim" : "bad"]]);
  }
  return lines;
}

function moreOf(choices: readonly Choice[], value: string | undefined): string {
  return choices.find((choice) => choice.value === value)?.more ?? "";
}

function valueSpans(field: Field, form: Form, focused: boolean, room: number): Span[] {
  const value = form.values[field.name] ?? "";
  if (field.kind === "check") return [[value === YES ? `[x] ${field.text}` : `[ ] ${field.text}`]];
  if (field.kind === "choice") {
    const choice = field.choices.find((each) => each.value === value);
    const label = choice?.label ?? "?";
    return [
      [focused ? `‹ ${label} ›` : label, focused ? "bold" : undefined],
      [focused ? "" : `  ${choice?.note ?? ""}`, "dim"],
    ];
  }
  if (!focused) return value === "" ? [[field.empty ?? "", "dim"]] : [[truncate(value, room)]];
  const [before, [under = " ", ...after]] = aroundCursor(form, field);
  // Of a long value the part left of the cursor is shown, where it is typed, and what fits to its right.
  let seen = before;
  while (widthOf(seen.join("")) + widthOf(under) > room) seen = seen.slice(1);
  const used = widthOf(seen.join("")) + widthOf(under);
  return [[seen.join("")], [under, "selected"], [truncate(after.join(""), room - used)]];
}

/** The choices around the chosen one, each with what there is to say of it. */
function choiceLines(choices: readonly Choice[], value: string | undefined, indent: string): Line[] {
  const at = Math.max(
    0,
    choices.findIndex((choice) => choice.value === value),
  );
  const from = Math.max(0, Math.min(at - Math.floor(CHOICES_SEEN / 2), choices.length - CHOICES_SEEN));
  const seen = choices.slice(from, from + CHOICES_SEEN);
  const label = Math.min(
    20,
    seen.reduce((most, choice) => Math.max(most, widthOf(choice.label)), 0),
  );
  return seen.map((choice): Line => {
    const chosen = choice.value === value;
    return [
      [indent],
      [chosen ? "• " : "  ", "accent"],
      [fit(choice.label, label), chosen ? "bold" : undefined],
      [`  ${choice.note}`, "dim"],
    ];
  });
}
