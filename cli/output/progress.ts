import type { RolloutEvent } from "../../infra/rollout/index.js";

/** Where progress goes: stderr, so that stdout stays what was asked for. */
export interface ProgressStream {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

export interface Progress {
  take(event: RolloutEvent): void;
  /** Takes the live lines away; what was printed stays. */
  end(): void;
}

const DONE = { create: "made", update: "updated", replace: "made anew", delete: "taken away" } as const;

/**
 * Live lines on a terminal, one per host; a line for each step that changed something. Not `announced`, those lines are
 * left out: a plan has changed nothing yet.
 */
export function createProgress(stream: ProgressStream, announced = true): Progress {
  return stream.isTTY ? new LiveProgress(stream, announced) : new LineProgress(stream, announced);
}

/** What a step that is done says for itself; nothing where nothing changed. */
function doneLine(event: RolloutEvent, announced: boolean): string | undefined {
  if (event.type === "warning") return `warning: ${event.resource ? `${event.resource.host}: ` : ""}${event.message}`;
  if (!announced || event.type !== "finished" || event.operation === "none" || event.operation === "read")
    return undefined;
  const paths = event.operation === "update" ? event.differences.map(({ path }) => path).join(", ") : "";
  return `${event.resource.host}: ${event.resource.what} ${DONE[event.operation]}${paths ? ` (${paths})` : ""}`;
}

class LineProgress implements Progress {
  constructor(
    private readonly stream: ProgressStream,
    private readonly announced: boolean,
  ) {}

  take(event: RolloutEvent): void {
    const line = doneLine(event, this.announced);
    if (line !== undefined) this.stream.write(`${line}\n`);
  }

  end(): void {
    // Every line is printed already.
  }
}

interface HostLine {
  seen: number;
  changed: number;
  /** Resources under way, with what they last said. */
  now: Map<string, string>;
}

class LiveProgress implements Progress {
  readonly #hosts = new Map<string, HostLine>();
  #drawn = 0;

  constructor(
    private readonly stream: ProgressStream,
    private readonly announced: boolean,
  ) {}

  take(event: RolloutEvent): void {
    if (event.type === "error") return;
    const line = doneLine(event, this.announced);
    if (event.resource) this.#note(event, this.#host(event.resource.host));
    this.#draw(line);
  }

  end(): void {
    this.#hosts.clear();
    this.#draw(undefined);
  }

  #host(name: string): HostLine {
    const host = this.#hosts.get(name) ?? { seen: 0, changed: 0, now: new Map() };
    this.#hosts.set(name, host);
    return host;
  }

  #note(event: RolloutEvent, host: HostLine): void {
    if (!event.resource) return;
    const { urn, what } = event.resource;
    if (event.type === "started") host.now.set(urn, what);
    else if (event.type === "progress") host.now.set(urn, `${what}: ${event.message}`);
    else if (event.type === "finished" || event.type === "failed") {
      host.now.delete(urn);
      host.seen++;
      if (event.type === "finished" && event.operation !== "none" && event.operation !== "read") host.changed++;
    }
  }

  /** Goes back over the live lines, prints what stays, and draws them again below it. */
  #draw(stays: string | undefined): void {
    // A terminal that does not know its width says 0.
    const width = Math.max(20, (this.stream.columns || 80) - 1);
    const lines = [...this.#hosts].map(([name, { seen, changed, now }]) => {
      const doing = [...now.values()].at(-1) ?? "";
      return `${name.padEnd(12)} ${String(seen).padStart(3)} looked at, ${changed} changed  ${doing}`
        .trimEnd()
        .slice(0, width);
    });
    const back = this.#drawn > 0 ? `\u001b[${this.#drawn}A` : "";
    const text = [...(stays === undefined ? [] : [stays]), ...lines].map((line) => `\u001b[2K${line}\n`).join("");
    this.stream.write(`${back}\r${text}\u001b[J`);
    this.#drawn = lines.length;
  }
}
