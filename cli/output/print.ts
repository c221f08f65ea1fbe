import { clean } from "./text.js";

/** Where a command prints: data on stdout, remarks on stderr. Everything passes `clean` on its way. */
export interface Output {
  /** One line of data. */
  line(text: string): void;
  /** One line for people, beside the data. */
  note(text: string): void;
  /** Several lines that the program has drawn itself, escape sequences included. */
  drawn(text: string): void;
  json(value: unknown): void;
  /** Columns of the terminal, null when stdout is none: then nothing is cut. */
  readonly columns: number | null;
  readonly color: boolean;
}

export const processOutput: Output = {
  line: (text) => void process.stdout.write(`${clean(text)}\n`),
  note: (text) => void process.stderr.write(`convocate: ${clean(text)}\n`),
  drawn: (text) => void process.stdout.write(`${text}\n`),
  json: (value) => void process.stdout.write(`${jsonText(value)}\n`),
  get columns() {
    return process.stdout.isTTY ? process.stdout.columns : null;
  },
  get color() {
    return process.stdout.isTTY && !process.env["NO_COLOR"];
  },
};

/** JSON with what `JSON.stringify` leaves raw and a terminal would act on (DEL, C1) escaped too. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
