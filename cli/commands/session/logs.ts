import { Command, InvalidArgumentError } from "commander";
import { setTimeout as sleep } from "node:timers/promises";
import { ConvocateError } from "../../../runtime/domain/index.js";
import { printJsonLine } from "../../output/json.js";
import type { Client } from "./client.js";
import { on } from "./operate.js";

const FOLLOW_EVERY_MS = 1000;
/** Of one question; a session that says more within a second is caught up with by the next ones. */
const FOLLOW_LINES = 5000;

/** `convocate logs`: what a session's container said, oldest first. */
export function logs(client: Client): Command {
  return new Command("logs")
    .description("show a session's log, from its agent or, when that does not answer, from what it forwarded here")
    .argument("<session>", "the beginning of its name or id")
    .option("-n, --lines <number>", "so many of the last lines", lineCount, 200)
    .option("-f, --follow", "go on with new ones; Ctrl-C ends it")
    .option("--json", "print JSON, one line each")
    .action((wanted: string, options: { lines: number; follow?: true; json?: true }) =>
      on(client, wanted, async (cluster, { session }) => {
        let after: string | undefined;
        const print = (lines: readonly { timestamp: string; text: string }[]): void => {
          for (const { timestamp, text } of lines) {
            if (options.json) printJsonLine(client.out, "log", { timestamp, text });
            else client.out.line(`${timestamp} ${text}`);
            after = timestamp;
          }
        };
        print(await cluster.logs(session.id, { lines: options.lines }));
        const stopped = (): boolean => client.signal.aborted;
        while (options.follow && !stopped()) {
          await sleep(FOLLOW_EVERY_MS, undefined, { signal: client.signal }).catch(() => undefined);
          try {
            if (!stopped())
              print(await cluster.logs(session.id, { lines: FOLLOW_LINES, ...(after === undefined ? {} : { after }) }));
          } catch (thrown) {
            // An agent that restarts is back in a moment, and has kept what was said.
            if (!(thrown instanceof ConvocateError) || thrown.exitCode !== 3) throw thrown;
          }
        }
      }),
    );
}

function lineCount(text: string): number {
  const count = Number(text);
  if (!/^[0-9]+$/.test(text) || count < 1 || count > 5000) throw new InvalidArgumentError("1 to 5000.");
  return count;
}
