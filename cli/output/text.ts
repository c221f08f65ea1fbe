import { stripVTControlCharacters } from "node:util";
import { isPlain } from "../../runtime/domain/index.js";

/** C0, DEL and C1 controls, and the marks that reorder text on the screen: none of them belongs into a line we print. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Text from the wire, fit for one line of a terminal: no escape sequence, no control character. */
export function clean(text: string): string {
  if (isPlain(text)) return text;
  return stripVTControlCharacters(text).replace(CONTROLS, " ");
}
