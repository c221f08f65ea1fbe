import { Command, InvalidArgumentError } from "commander";
import type { AgentEvent } from "../../../runtime/domain/index.js";
import { printJsonLine } from "../../output/json.js";
import type { Client } from "../session/client.js";

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const NEWEST = 100;
const MOST = 1000;

interface Options {
  follow?: true;
  since?: Date;
  lines: number;
  json?: true;
}

/** `convocate events`: what happened on the agents, as convocate-status has kept it. */
export function events(client: Client): Command {
  return new Command("events")
    .description("show what happened on the agents: the newest events, or all since a time")
    .option("-f, --follow", "go on with what happens; Ctrl-C ends it")
    .option("--since <when>", "all since then: as 90s, 10m, 2h, 3d ago, or a time as 2026-11-21T08:00:00Z", (text) =>
      parseSince(text),
    )
    .option("-n, --lines <number>", "so many of the newest ones, without --since", parseLines, NEWEST)
    .option("--json", "print JSON, one line each")
    .addHelpText("after", "\nEvents are kept for 7 days, the newest 100,000 of them.")
    .action(async ({ follow, since, lines, json }: Options) => {
      const names = new Map<string, string>();
      const read = await client.history({ limit: lines, follow: follow === true, ...(since ? { since } : {}) });
      for await (const item of read) {
        if (item.kind === "agents") for (const agent of item.agents) names.set(agent.agent_id, agent.name);
        else if (item.kind === "store") {
          if (item.store.state === "failing")
            client.out.note(`convocate-status cannot store events since ${item.store.since}: ${item.store.error}`);
        } else {
          const agent = names.get(item.event.agent_id) ?? null;
          if (json) printJsonLine(client.out, "event", { ...item.event, agent });
          else client.out.line(text(item.event, agent));
        }
      }
    });
}

function text(event: AgentEvent, agent: string | null): string {
  const about = event.session_id === undefined ? "" : ` ${event.session_id.slice(0, 8)}`;
  const data = Object.entries(event.data)
    .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
  return `${event.timestamp} ${agent ?? event.agent_id} ${event.type}${about} ${data}`.trimEnd();
}

export function parseSince(text: string, now = Date.now()): Date {
  const ago = /^([0-9]{1,9})([smhd])$/.exec(text);
  const unit = UNIT_MS[ago?.[2] ?? ""];
  const at =
    ago && unit !== undefined
      ? now - Number(ago[1]) * unit
      : /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/.test(text)
        ? Date.parse(text)
        : NaN;
  // Before 1970 there is nothing, and at last no date either.
  if (!(at >= 0)) throw new InvalidArgumentError("as 90s, 10m, 2h, 3d, or a time since 1970 as 2026-11-21T08:00:00Z.");
  return new Date(at);
}

function parseLines(text: string): number {
  const count = Number(text);
  if (!/^[0-9]+$/.test(text) || count < 1 || count > MOST) throw new InvalidArgumentError(`1 to ${MOST}.`);
  return count;
}
