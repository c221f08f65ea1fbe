import { Command } from "commander";
import { AGENT_PORT } from "../../../runtime/domain/index.js";
import { serveAgent } from "../../../runtime/agent/index.js";
import { serviceLog } from "../../output/log.js";
import { interruptSignal } from "../../output/run.js";
import { portNumber } from "../port.js";
import { requireRoot } from "./root.js";

/** `convocate-agent serve`: what the unit runs. SIGTERM ends it; session containers go on. */
export function agentServe(): Command {
  return new Command("serve")
    .description("serve this host's sessions on tcp/222, until SIGTERM")
    .option("--port <port>", "tcp port to listen on", portNumber, AGENT_PORT)
    .action(async ({ port }: { port: number }) => {
      requireRoot("serve");
      const log = serviceLog();
      const told = new AbortController();
      const onTerm = (): void => told.abort();
      process.once("SIGTERM", onTerm);
      try {
        await using agent = await serveAgent({ port, log });
        await ended(AbortSignal.any([told.signal, interruptSignal]));
        await agent.close();
      } finally {
        process.off("SIGTERM", onTerm);
      }
    });
}

function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
