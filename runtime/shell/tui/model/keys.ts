/** A key as the reducer sees it: a name, or one printable character. */
export type Key =
  | { name: "char"; char: string }
  | {
      name:
        | "up"
        | "down"
        | "left"
        | "right"
        | "pageup"
        | "pagedown"
        | "home"
        | "end"
        | "enter"
        | "escape"
        | "tab"
        | "backtab"
        | "backspace"
        | "delete"
        | "ctrl-a"
        | "ctrl-c"
        | "ctrl-e"
        | "ctrl-u"
        | "ctrl-w"
        | "ctrl-z";
    };

/** What of Ink's key flags we read. */
export interface InkKey {
  upArrow: boolean;
  downArrow: boolean;
  leftArrow: boolean;
  rightArrow: boolean;
  pageUp: boolean;
  pageDown: boolean;
  home: boolean;
  end: boolean;
  return: boolean;
  escape: boolean;
  tab: boolean;
  backspace: boolean;
  delete: boolean;
  ctrl: boolean;
  shift: boolean;
  meta: boolean;
}

const CONTROL: Readonly<Record<string, Exclude<Key["name"], "char">>> = {
  a: "ctrl-a",
  c: "ctrl-c",
  e: "ctrl-e",
  u: "ctrl-u",
  w: "ctrl-w",
  z: "ctrl-z",
};

/**
 * The keys in one event of Ink's `useInput`. Keys that arrive together (a slow line, a fast typist) come as one string, so
 * one event can be several keys. Unknown control keys are no keys of ours.
 */
export function keysOf(input: string, key: InkKey): Key[] {
  if (key.upArrow) return [{ name: "up" }];
  if (key.downArrow) return [{ name: "down" }];
  if (key.leftArrow) return [{ name: "left" }];
  if (key.rightArrow) return [{ name: "right" }];
  if (key.pageUp) return [{ name: "pageup" }];
  if (key.pageDown) return [{ name: "pagedown" }];
  if (key.home) return [{ name: "home" }];
  if (key.end) return [{ name: "end" }];
  // On a slow line Esc and the next key arrive together and look like a chord with Alt, of which we have none.
  if (key.return || input === "\n") return key.meta ? [{ name: "escape" }, { name: "enter" }] : [{ name: "enter" }];
  if (key.escape) return [{ name: "escape" }];
  if (key.tab) return [{ name: key.shift ? "backtab" : "tab" }];
  if (key.backspace) return [{ name: "backspace" }];
  if (key.delete) return [{ name: "delete" }];
  if (key.ctrl) {
    const name = CONTROL[input];
    return name === undefined ? [] : [{ name }];
  }
  const chars = Array.from(input)
    .filter((char) => char >= " " && char !== "\u007f")
    .map((char): Key => ({ name: "char", char }));
  return key.meta ? [{ name: "escape" }, ...chars] : chars;
}
