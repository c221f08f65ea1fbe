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
  /** Set by the first try to send it: from then on empty fields are complained about too. */
  submitted: boolean;
}

export interface Choice {
  value: string;
  label: string;
  /** Said beside it, fainter. */
  note: string;
  /** Why it cannot be chosen now. */
  problem?: string;
}

export type Field = { name: string; label: string; hint: string } & (
  | { kind: "text" }
  | { kind: "choice"; choices: readonly Choice[] }
  /** `yes` or nothing; `text` says what it stands for. */
  | { kind: "check"; text: string }
);

export const YES = "yes";

export function openForm(values: Readonly<Record<string, string>>, focus: string): Form {
  return { values, initial: values, focus, submitted: false };
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
      return stay(change(form, field, key.name === "left" ? -1 : 1));
    case "backspace":
      return stay(edit(form, field, (text) => Array.from(text).slice(0, -1).join("")));
    case "ctrl-u":
      return stay(edit(form, field, () => ""));
    case "char":
      return stay(
        key.char === " " && field.kind !== "text" ? change(form, field, 1) : formPaste(form, field, key.char),
      );
    default:
      return stay(form);
  }
}

/** The form with text put in at the end of a field; line ends and control characters are left out. */
export function formPaste(form: Form, field: Field | undefined, text: string): Form {
  const plain = text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "");
  return field ? edit(form, field, (before) => (before + plain).slice(0, FIELD_MAX)) : form;
}

function edit(form: Form, field: Field, change: (text: string) => string): Form {
  return field.kind === "text" ? withValue(form, field.name, change(form.values[field.name] ?? "")) : form;
}

function withValue(form: Form, name: string, value: string): Form {
  return form.values[name] === value ? form : { ...form, values: { ...form.values, [name]: value } };
}

function moveFocus(form: Form, fields: readonly Field[], by: 1 | -1): Form {
  const at = fields.findIndex(({ name }) => name === form.focus);
  return { ...form, focus: fields[(at + by + fields.length) % fields.length]?.name ?? form.focus };
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
  return { ...form, focus: wrong?.name ?? form.focus };
}
