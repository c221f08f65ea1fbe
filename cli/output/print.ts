import { clean } from "./text.js";

/** Where a command prints: data on stdout, remarks on stderr. Everything passes `clean` on its way. */
export interface Output {
  /** One line of data. */
  line(text: string): void;
  /** Several at once: a write for each of a thousand takes 20 ms. */
  lines(texts: readonly string[]): void;
  /** One line for people, beside the data. */
  note(text: string): void;
  /** Several lines that the program has drawn itself, escape sequences included. */
  drawn(text: string): void;
  /** These lines and nothing else on the terminal; cut to its width by whom they come from. */
  screen(lines: readonly string[]): void;
  json(value: unknown): void;
  /** JSON on one line, for streams of it. */
  jsonLine(value: unknown): void;
  /** Columns of the terminal, null when stdout is none: then nothing is cut. */
  readonly columns: number | null;
  readonly rows: number | null;
  readonly color: boolean;
}

export const processOutput: Output = {
  line: (text) => void process.stdout.write(`${clean(text)}\n`),
  lines: (texts) => void process.stdout.write(cleanLines(texts)),
  note: (text) => void process.stderr.write(`convocate: ${clean(text)}\n`),
  drawn: (text) => void process.stdout.write(`${text}\n`),
  screen: (lines) => void process.stdout.write(`\u001b[H\u001b[2J${cleanLines(lines)}`),
  json: (value) => void process.stdout.write(`${jsonText(value)}\n`),
  jsonLine: (value) => void process.stdout.write(`${jsonText(value, 0)}\n`),
  get rows() {
    return process.stdout.isTTY ? process.stdout.rows : null;
  },
  get columns() {
    return process.stdout.isTTY ? process.stdout.columns : null;
  },
  get color() {
    return process.stdout.isTTY && !process.env["NO_COLOR"];
  },
};

function cleanLines(texts: readonly string[]): string {
  return texts.map((text) => `${clean(text)}\n`).join("");
}

/** JSON with what `JSON.stringify` leaves raw and a terminal would act on (DEL, C1) escaped too. */
export function jsonText(value: unknown, indent = 2): string {
  return JSON.stringify(value, null, indent).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
