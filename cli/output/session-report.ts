import { ConvocateError } from "../../runtime/domain/index.js";
import { jsonText } from "./print.js";
import { clean } from "./text.js";

interface Named {
  id: string;
  name: string;
}

interface Streams {
  out(line: string): void;
  note(line: string): void;
}

const processStreams: Streams = {
  out: (line) => void process.stdout.write(`${line}\n`),
  note: (line) => void process.stderr.write(`${clean(line)}\n`),
};

/** What became of the sessions of a host, one after another: lines as they go, or one JSON object at the end. */
export class SessionReport {
  readonly #host: string;
  readonly #json: boolean;
  readonly #streams: Streams;
  readonly #moved: (Named & { to: string; warnings: string[] })[] = [];
  readonly #left: (Named & { why: string })[] = [];

  constructor(host: string, { json = false, streams = processStreams }: { json?: boolean; streams?: Streams } = {}) {
    this.#host = host;
    this.#json = json;
    this.#streams = streams;
  }

  note(line: string): void {
    this.#streams.note(line);
  }

  begin({ name }: Named, at: number, of: number): void {
    this.#streams.note(`${name}: on its way (${at} of ${of})`);
  }

  gone({ id, name }: Named, to: string, warnings: string[]): void {
    this.#moved.push({ id, name, to, warnings });
    if (!this.#json) this.#streams.out(clean(`${name}: now on ${to}`));
    for (const warning of warnings) this.#streams.note(`${name}: ${warning}`);
  }

  left({ id, name }: Named, why: string): void {
    this.#left.push({ id, name, why });
    this.#streams.note(`${name}: stays on ${this.#host}: ${why}`);
  }

  /** @throws ConvocateError COMMAND_FAILED when any session is left. */
  end(done: string): void {
    const [moved, left] = [this.#moved, this.#left];
    if (this.#json) this.#streams.out(jsonText({ host: this.#host, moved, left }));
    if (left.length > 0)
      throw new ConvocateError(
        "COMMAND_FAILED",
        `${this.#host}: ${moved.length} moved, ${left.length} left (${left.map(({ name }) => name).join(", ")}): see to ` +
          `what is said of ${left.length === 1 ? "it" : "each"}, then run the same again`,
      );
    if (!this.#json) this.#streams.out(`${this.#host}: ${done} (${moved.length} moved)`);
  }
}
