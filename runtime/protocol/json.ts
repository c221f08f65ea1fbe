import { ConvocateError } from "../domain/index.js";

/** No message of ours is half as deep. What is much deeper overflows the stack of whoever walks through it or writes it. */
export const MAX_DEPTH = 32;

/** A peer's JSON text as a value, at most MAX_DEPTH deep. @throws ConvocateError BAD_REQUEST; `what` names the text. */
export function parseJson(text: string, what: string): unknown {
  if (isDeep(text)) throw new ConvocateError("BAD_REQUEST", `${what} is nested more than ${MAX_DEPTH} deep`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ConvocateError("BAD_REQUEST", `${what} is not JSON`, { cause });
  }
}

/** Whether brackets outside of strings ever stand deeper than MAX_DEPTH. Right for JSON; what else is said of others is moot. */
function isDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case 0x22: // "
        inString = !inString;
        break;
      case 0x5c: // backslash, which JSON has in strings only
        at += 1;
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (!inString && (depth += 1) > MAX_DEPTH) return true;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        if (!inString) depth -= 1;
        break;
    }
  }
  return false;
}
