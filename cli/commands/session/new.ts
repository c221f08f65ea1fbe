import { Command, InvalidArgumentError, Option } from "commander";
import type { z } from "zod";
import { ConvocateError, DnsName, SessionName, WantedPort } from "../../../runtime/domain/index.js";
import { attachTo } from "./attach.js";
import type { Client } from "./client.js";
import { emptiestAgent, LIST_TIMEOUT_MS, resolveAgent } from "./resolve.js";

interface Options {
  agent?: string;
  port: number;
  protocol: "tcp" | "udp";
  dns?: string;
  start: boolean;
  attach?: true;
  json?: true;
}

/** `convocate new`: a session on the agent that is named, or on the one with the fewest running sessions. */
export function newSession(client: Client): Command {
  return new Command("new")
    .description("create a session and start it")
    .argument("<name>", "1 to 64 of letters, digits, _ and -, no - first", (text) => parsed(SessionName, text))
    .option("--agent <name|id>", "where; default: the agent with the fewest running sessions")
    .option("--port <number>", "publish this port; -1: the first free one from 1001 up; 0: none", parsePort, 0)
    .addOption(new Option("--protocol <protocol>", "of the published port").choices(["tcp", "udp"]).default("tcp"))
    .option("--dns <name>", "DNS name of the session in the cluster", (text) => parsed(DnsName, text))
    .option("--no-start", "only create it; it is started otherwise")
    .option("--attach", "attach to it at once")
    .option("--json", "print the session as JSON")
    .action(async (name: string, options: Options) => {
      if (options.attach && !options.start)
        throw new ConvocateError("BAD_USAGE", "--attach needs a session that runs: leave out --no-start");
      const terminal = options.attach ? await client.terminal() : null;
      await using cluster = await client.open();
      await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
      const agent =
        options.agent === undefined ? emptiestAgent(cluster) : resolveAgent(cluster.agents(), options.agent);
      const { port, protocol, start } = options;
      const session = await cluster.create(agent.id, { name, port, protocol, start, dns_name: options.dns ?? null });
      if (options.json) client.out.json({ ...session, agent: agent.name });
      else {
        const published = session.port === 0 ? "" : `, port ${session.port}/${session.protocol}`;
        const state = start ? "started" : "created";
        client.out.line(`${state} ${session.name} on ${agent.name}${published}, id ${session.id}`);
      }
      if (terminal) await attachTo(client, cluster, session, terminal, "rw");
    });
}

function parsePort(text: string): number {
  if (!/^-?[0-9]{1,5}$/.test(text)) throw new InvalidArgumentError("a port is -1, 0 or up to 65535.");
  return parsed(WantedPort, Number(text));
}

function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new InvalidArgumentError(`${result.error.issues.map((issue) => issue.message).join("; ")}.`);
}
