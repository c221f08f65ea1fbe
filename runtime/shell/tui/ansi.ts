import { clean } from "./text.js";

/**
 * How a piece of a session's screen looks: attributes, then colours, as parameters of SGR. Nothing but digits and `;`, made
 * here from numbers that were checked.
 */
export type Sgr = `sgr:${string}|${string}`;
export type StyledText = readonly (readonly [text: string, style?: Sgr])[];

/** The attributes that are shown, by their SGR numbers; blinking is not. */
const ATTRIBUTES: ReadonlySet<number> = new Set([1, 2, 3, 4, 7, 8, 9]);
const ENDS: Readonly<Record<number, readonly number[]>> = {
  21: [1],
  22: [1, 2],
  23: [3],
  24: [4],
  27: [7],
  28: [8],
  29: [9],
};
/** tmux writes lines as letters of the line drawing set, between SO and SI. */
const DRAWN: Readonly<Record<string, string>> = {
  j: "┘",
  k: "┐",
  l: "┌",
  m: "└",
  n: "┼",
  q: "─",
  t: "├",
  u: "┤",
  v: "┴",
  w: "┬",
  x: "│",
  a: "▒",
  "~": "·",
  "`": "◆",
};
const SO = "\u000e";
const SI = "\u000f";
const TOKEN = /(\u001b\[[0-9;:]*m|[\u000e\u000f])/;

/**
 * A screen as `tmux capture-pane -e` prints it, made safe: colours and attributes stay (SGR, which goes on from line to
 * line), every other control sequence goes, as `clean` has it.
 */
export function styledScreen(lines: readonly string[]): StyledText[] {
  const look = new Look();
  return lines.map((line) => {
    const spans: [string, Sgr?][] = [];
    for (const part of line.split(TOKEN)) {
      if (part.startsWith("\u001b[") && TOKEN.test(part)) look.apply(part.slice(2, -1));
      else if (part === SO || part === SI) look.drawing = part === SO;
      else {
        const text = look.drawing ? clean(part).replaceAll(/[a-z~`]/g, (char) => DRAWN[char] ?? char) : clean(part);
        const style = look.style();
        if (text !== "") spans.push(style === undefined ? [text] : [text, style]);
      }
    }
    return spans;
  });
}

class Look {
  drawing = false;
  readonly #attributes = new Set<number>();
  #foreground = "";
  #background = "";

  style(): Sgr | undefined {
    const attributes = [...this.#attributes].sort((a, b) => a - b).join(";");
    const colours = [this.#foreground, this.#background].filter((part) => part !== "").join(";");
    return attributes === "" && colours === "" ? undefined : `sgr:${attributes}|${colours}`;
  }

  /** The parameters of one SGR sequence; what is not known is passed over. */
  apply(parameters: string): void {
    const parts = parameters.split(";");
    for (let at = 0; at < parts.length; at += 1) {
      const [code = 0, ...sub] = (parts[at] ?? "").split(":").map(Number);
      if (code === 38 || code === 48 || code === 58) {
        // `38;5;N` and `38;2;R;G;B`, or all of it in one part with colons, where a colour space may stand first.
        const given = sub.length > 0 ? sub : parts.slice(at + 1, at + 5).map(Number);
        const length = given[0] === 5 ? 2 : 4;
        if (sub.length === 0) at += length;
        const numbers = sub.length > length ? [given[0], ...given.slice(-3)] : given.slice(0, length);
        if (numbers.length === length && numbers.every(isByte)) this.#colour(code, `${code};${numbers.join(";")}`);
      } else if (code === 4 && sub[0] === 0) this.#attributes.delete(4);
      else if (code === 0) this.#reset();
      else if (ATTRIBUTES.has(code)) this.#attributes.add(code);
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) this.#foreground = String(code);
      else if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107)) this.#background = String(code);
      else if (code === 39) this.#foreground = "";
      else if (code === 49) this.#background = "";
      else for (const ended of ENDS[code] ?? []) this.#attributes.delete(ended);
    }
  }

  #colour(code: number, sequence: string): void {
    if (code === 38) this.#foreground = sequence;
    // 58 is the underline's colour, which few terminals have.
    else if (code === 48) this.#background = sequence;
  }

  #reset(): void {
    this.#attributes.clear();
    this.#foreground = "";
    this.#background = "";
  }
}

function isByte(value: number | undefined): boolean {
  return value !== undefined && Number.isInteger(value) && value >= 0 && value <= 255;
}
