import { graphemesOf } from "../text.js";
import type { Key } from "./keys.js";

/**
 * A dialog with fields: what was typed so far, by field. What the fields are, what is wrong with them and what they ask
 * for is each form's own business (`forms.ts`); this file types into them and moves between them.
 */
export interface Form {
  values: Readonly<Record<string, string>>;
  /** The values it was opened with: what was not touched is not sent. */
  initial: Readonly<Record<string, string>>;
  /** Name of the focused field. */
  focus: string;
  /** Characters of the focused text that are right of the cursor; 0 is its end. */
  after: number;
  /** Set by the first try to send it: from then on empty fields are complained about too. */
  submitted: boolean;
}

export interface Choice {
  value: string;
  label: string;
  /** Said beside it, fainter. */
  note: string;
  /** Said below the choices while it is the chosen one. */
  more?: string;
  /** Why it cannot be chosen now. */
  problem?: string;
}

export type Field = { name: string; label: string; hint: string } &
  /** `empty` says what nothing stands for. */
  (
    | { kind: "text"; empty?: string }
    | { kind: "choice"; choices: readonly Choice[] }
    /** `yes` or nothing; `text` says what it stands for. */
    | { kind: "check"; text: string }
  );

export const YES = "yes";

export function openForm(values: Readonly<Record<string, string>>, focus: string): Form {
  return { values, initial: values, focus, after: 0, submitted: false };
}

/** Longest text a field takes; more than any valid value needs. */
const FIELD_MAX = 253;

/** The form after a key; `submit` when the key was Enter. */
export function formKey(form: Form, fields: readonly Field[], key: Key): { form: Form; submit: boolean } {
  const stay = (next: Form): { form: Form; submit: boolean } => ({ form: next, submit: false });
  const field = fields.find(({ name }) => name === form.focus) ?? fields[0];
  if (!field) return stay(form);
  switch (key.name) {
    case "enter":
      return { form: { ...form, submitted: true }, submit: true };
    case "tab":
    case "down":
      return stay(moveFocus(form, fields, 1));
    case "backtab":
    case "up":
      return stay(moveFocus(form, fields, -1));
    case "left":
    case "right":
      return stay(
        field.kind === "text"
          ? moveCursor(form, field, form.after + (key.name === "left" ? 1 : -1))
          : change(form, field, key.name === "left" ? -1 : 1),
      );
    case "home":
    case "ctrl-a":
      return stay(moveCursor(form, field, Infinity));
    case "end":
    case "ctrl-e":
      return stay(moveCursor(form, field, 0));
    case "backspace":
      return stay(edit(form, field, (before, after) => [before.slice(0, -1), after]));
    case "delete":
      return stay(edit(form, field, (before, after) => [before, after.slice(1)]));
    case "ctrl-u":
      return stay(edit(form, field, (_, after) => [[], after]));
    case "ctrl-w":
      return stay(
        edit(form, field, (before, after) => [graphemesOf(before.join("").replace(/[^\s._/-]*[\s._/-]*$/, "")), after]),
      );
    case "char":
      return stay(
        key.char === " " && field.kind !== "text" ? change(form, field, 1) : formPaste(form, field, key.char),
      );
    default:
      return stay(form);
  }
}

/** The form with text put in at the cursor; line ends and control characters are left out, and what is too much. */
export function formPaste(form: Form, field: Field | undefined, text: string): Form {
  const plain = text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "");
  if (!field) return form;
  return edit(form, field, (before, after) => {
    const room = Math.max(0, FIELD_MAX - before.length - after.length);
    return [[...before, ...graphemesOf(plain).slice(0, room)], after];
  });
}

/** A field's text before and after the cursor, in what a reader takes for characters. */
export function aroundCursor(form: Form, field: Field): [before: string[], after: string[]] {
  const text = graphemesOf(form.values[field.name] ?? "");
  const at = Math.max(0, text.length - form.after);
  return [text.slice(0, at), text.slice(at)];
}

type Split = [before: readonly string[], after: readonly string[]];

function edit(form: Form, field: Field, change: (before: readonly string[], after: readonly string[]) => Split): Form {
  if (field.kind !== "text") return form;
  const [before, after] = change(...aroundCursor(form, field));
  const next = withValue(form, field.name, [...before, ...after].join(""));
  return next === form ? form : { ...next, after: after.length };
}

function moveCursor(form: Form, field: Field, to: number): Form {
  if (field.kind !== "text") return form;
  const after = Math.max(0, Math.min(to, graphemesOf(form.values[field.name] ?? "").length));
  return after === form.after ? form : { ...form, after };
}

function withValue(form: Form, name: string, value: string): Form {
  return form.values[name] === value ? form : { ...form, values: { ...form.values, [name]: value } };
}

function moveFocus(form: Form, fields: readonly Field[], by: 1 | -1): Form {
  const at = fields.findIndex(({ name }) => name === form.focus);
  return { ...form, after: 0, focus: fields[(at + by + fields.length) % fields.length]?.name ?? form.focus };
}

/** Another choice, or a check turned over: what left, right and Space do in the fields that are not text. */
function change(form: Form, field: Field, by: 1 | -1): Form {
  const value = form.values[field.name] ?? "";
  if (field.kind === "check") return withValue(form, field.name, value === YES ? "" : YES);
  if (field.kind === "text" || field.choices.length === 0) return form;
  const { choices } = field;
  const at = choices.findIndex((choice) => choice.value === value);
  const next = choices[at === -1 ? 0 : (at + by + choices.length) % choices.length];
  return next ? withValue(form, field.name, next.value) : form;
}

/** What is wrong, by field; a field that is not there is all right. */
export type Problems = Readonly<Record<string, string | undefined>>;

/** The form with the first wrong field focused; null when nothing is wrong. */
export function focusWrong(form: Form, fields: readonly Field[], problems: Problems): Form | null {
  if (!Object.values(problems).some((problem) => problem !== undefined)) return null;
  const wrong = fields.find(({ name }) => problems[name] !== undefined);
  if (wrong === undefined || wrong.name === form.focus) return form;
  return { ...form, after: 0, focus: wrong.name };
}
