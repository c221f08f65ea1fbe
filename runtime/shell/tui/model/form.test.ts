import { describe, expect, test } from "@jest/globals";
import { aroundCursor, formKey, formPaste, openForm, type Field, type Form } from "./form.js";
import type { Key } from "./keys.js";

const NAME: Field = { name: "name", label: "Name", kind: "text", hint: "" };
const OTHER: Field = { name: "other", label: "Other", kind: "text", hint: "" };
const FIELDS = [NAME, OTHER];

/** The focused text after keys, with `|` where the cursor is; a key by its name, or text. */
function typed(text: string, ...keys: (Exclude<Key["name"], "char"> | { type: string })[]): string {
  let form: Form = openForm({ name: text, other: "other" }, "name");
  for (const key of keys)
    if (typeof key === "string") form = formKey(form, FIELDS, { name: key }).form;
    else for (const char of key.type) form = formKey(form, FIELDS, { name: "char", char }).form;
  return shown(form);
}
function shown(form: Form): string {
  const field = FIELDS.find(({ name }) => name === form.focus) ?? NAME;
  return aroundCursor(form, field)
    .map((part) => part.join(""))
    .join("|");
}

describe("a text field", () => {
  test("is typed into at its end, or where left and right, Home and End, Ctrl-A and Ctrl-E put the cursor", () => {
    expect(typed("abc", { type: "d" })).toBe("abcd|");
    expect(typed("abc", "left", "left", { type: "x" })).toBe("ax|bc");
    expect(typed("abc", "home", { type: "x" }, "right", { type: "y" })).toBe("xay|bc");
    expect(typed("abc", "ctrl-a", { type: "x" }, "ctrl-e", { type: "y" })).toBe("xabcy|");
    expect(typed("abc", "home", "left", "left", "end", "right")).toBe("abc|");
  });

  test("loses what is left of the cursor, right of it, the word before it, and all before it", () => {
    expect(typed("abc", "left", "backspace")).toBe("a|c");
    expect(typed("abc", "home", "delete")).toBe("|bc");
    expect(typed("abc", "delete")).toBe("abc|");
    expect(typed("web-copy", "ctrl-w")).toBe("web-|");
    expect(typed("web-", "ctrl-w")).toBe("|");
    expect(typed("abc", "left", "ctrl-u")).toBe("|c");
  });

  test("counts what a reader takes for characters, and starts at its end when one comes to it", () => {
    expect(typed("a👩‍👩‍👧é", "left", "left", { type: "x" })).toBe("ax|👩‍👩‍👧é");
    expect(typed("abc", "home", "tab", { type: "x" })).toBe("otherx|");
    expect(typed("abc", "home", "tab", "backtab")).toBe("abc|");
  });

  test("takes a paste at its cursor, and no more than it has room for", () => {
    const form = formKey(openForm({ name: "ab" }, "name"), [NAME], { name: "left" }).form;
    expect(shown(formPaste(form, NAME, "x\ny\u001b"))).toBe("axy|b");
    expect(shown(formPaste(form, NAME, "z".repeat(1000)))).toHaveLength(254);
  });
});
