import { Command, Option } from "commander";
import { ConvocateError, type Labels } from "../../../runtime/domain/index.js";
import { printJson } from "../../output/json.js";
import { labelOption } from "../label.js";
import { attachTo } from "./attach.js";
import type { Client } from "./client.js";
import {
  dnsName,
  limitOptions,
  limitsFrom,
  publishedPort,
  seconds,
  sessionName,
  type LimitOptions,
} from "./options.js";
import { emptiestAgent } from "./place.js";
import { LIST_TIMEOUT_MS, resolveAgent, sessionJson } from "./resolve.js";
import { WAIT_SECONDS, waitUntilReady } from "./wait.js";

interface Options extends LimitOptions {
  agent?: string;
  label?: Labels;
  port: number;
  protocol: "tcp" | "udp";
  public?: true;
  dns?: string;
  docker?: true;
  start: boolean;
  wait?: number | true;
  attach?: true;
  json?: true;
}

/** `convocate new`: a session on the agent that is named, or on the one with the most free capacity. */
export function newSession(client: Client): Command {
  const command = new Command("new")
    .description("create a session and start it")
    .argument("<name>", "1 to 64 of letters, digits, _ and -, no - first", sessionName)
    .option("--agent <name|id>", "where; default: the agent with the most free capacity")
    .addOption(labelOption("only an agent that the inventory gives this label"))
    .option("--port <number>", "publish this port; -1: the first free one from 1001 up; 0: none", publishedPort, 0)
    .addOption(new Option("--protocol <protocol>", "of the published port").choices(["tcp", "udp"]).default("tcp"))
    .option("--public", "publish the port on every address of the agent, not on its loopback alone")
    .option("--dns <name>", "DNS name of the session in the cluster", dnsName);
  return limitOptions(command)
    .option("--docker", "give it the agent's Docker socket, which makes it root there")
    .option("--no-start", "only create it; it is started otherwise")
    .option("--wait [seconds]", `wait until its CLI shows its prompt, ${WAIT_SECONDS} s unless told`, seconds)
    .option("--attach", "attach to it at once")
    .option("--json", "print the session as JSON")
    .action(async (name: string, options: Options) => {
      if ((options.attach || options.wait !== undefined) && !options.start)
        throw new ConvocateError("BAD_USAGE", "--attach and --wait need a session that runs: leave out --no-start");
      if (options.agent !== undefined && options.label !== undefined)
        throw new ConvocateError("BAD_USAGE", "say where with --agent, or among which with --label, not both");
      const terminal = options.attach ? await client.terminal() : null;
      await using cluster = await client.open();
      await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
      const limits = limitsFrom(options);
      const agent =
        options.agent === undefined
          ? await emptiestAgent(cluster, limits, options.label)
          : resolveAgent(cluster.agents(), options.agent);
      const { port, protocol, start } = options;
      let session = await cluster.create(agent.id, {
        name,
        port,
        protocol,
        start,
        dns_name: options.dns ?? null,
        limits,
        public: options.public ?? false,
        docker: options.docker ?? false,
      });
      if (options.wait !== undefined) {
        const timeoutMs = (options.wait === true ? WAIT_SECONDS : options.wait) * 1000;
        ({ session } = await waitUntilReady(cluster, session.id, client, timeoutMs));
      }
      if (options.json)
        printJson(client.out, "session", sessionJson({ session, agentName: agent.name, reachable: true }));
      else {
        const published = session.port === 0 ? "" : `, port ${session.port}/${session.protocol}`;
        const state = start ? "started" : "created";
        client.out.line(`${state} ${session.name} on ${agent.name}${published}, id ${session.id}`);
      }
      if (terminal) await attachTo(client, cluster, session, terminal, "rw");
    });
}
