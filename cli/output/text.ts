import { stripVTControlCharacters } from "node:util";

/** C0, DEL and C1 controls, and the marks that reorder text on the screen: none of them belongs into a line we print. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Nothing but printable ASCII, as most of what we print: a column for each character, and nothing to make safe. */
export function isPlain(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

/** Text from the wire, fit for one line of a terminal: no escape sequence, no control character. */
export function clean(text: string): string {
  if (isPlain(text)) return text;
  return stripVTControlCharacters(text).replace(CONTROLS, " ");
}
