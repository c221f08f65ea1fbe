import { Command, Option } from "commander";
import { ConvocateError } from "../../../runtime/domain/index.js";
import type { Client } from "./client.js";
import { on, tell } from "./operate.js";
import {
  dnsName,
  type DEFAULT,
  limitChanges,
  limitOptions,
  publishedPort,
  sessionName,
  type LimitOptions,
} from "./options.js";

/** Takes a DNS name away. */
const NO_NAME = "none";

interface EditOptions extends LimitOptions<number | typeof DEFAULT> {
  name?: string;
  port?: number;
  protocol?: "tcp" | "udp";
  public?: boolean;
  dns?: string;
  json?: true;
}

/** `convocate edit`: what is named changes, at the next restart. */
export function edit(client: Client): Command {
  const command = new Command("edit")
    .description("change a session; what its container must know takes effect at the next restart")
    .argument("<session>", "the beginning of its name or id")
    .option("--name <name>", "1 to 64 of letters, digits, _ and -", sessionName)
    .option("--port <number>", "publish this port; -1: the first free one from 1001 up; 0: none", publishedPort)
    .addOption(new Option("--protocol <protocol>", "of the published port").choices(["tcp", "udp"]))
    .option("--public", "publish the port on every address of the agent")
    .option("--no-public", "publish it on the agent's loopback alone")
    .option("--dns <name>", `DNS name of the session in the cluster; ${NO_NAME} takes it away`, (text) =>
      text === NO_NAME ? NO_NAME : dnsName(text),
    );
  return limitOptions(command, true)
    .option("--json", "print the session as JSON")
    .action((wanted: string, options: EditOptions) => {
      const { name, port, protocol, dns } = options;
      const limits = limitChanges(options);
      const change = {
        ...(name === undefined ? {} : { name }),
        ...(port === undefined ? {} : { port }),
        ...(protocol === undefined ? {} : { protocol }),
        ...(options.public === undefined ? {} : { public: options.public }),
        ...(dns === undefined ? {} : { dns_name: dns === NO_NAME ? null : dns }),
        ...(Object.keys(limits).length === 0 ? {} : { limits }),
      };
      if (Object.keys(change).length === 0)
        throw new ConvocateError("BAD_USAGE", "say what to change: see `convocate edit --help`");
      return on(client, wanted, async (cluster, view) => {
        const session = await cluster.edit(view.session.id, change);
        tell(client, options, view, session, session.restart_to_apply ? "restart to apply: edited" : "edited");
      });
    });
}
