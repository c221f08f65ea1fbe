/** Orders texts by character, not by locale: the same on every host, and without the 12 ms that a first collator takes. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Nothing but printable ASCII, as most of what we print: a column for each character, and nothing to make safe. */
export function isPlain(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}
