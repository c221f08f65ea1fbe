import { Command } from "commander";
import { AgentId, ConvocateError, SessionId } from "../../../runtime/domain/index.js";
import type { Client } from "../session/client.js";
import { live, tellMoved } from "../session/move.js";
import { publishedPort } from "../session/options.js";

/**
 * `convocate migrate-orphan`: what `convocate-host migrate-session` runs on the shell host. Root, because what sessions of
 * earlier releases wrote with sudo is root's, and is to be read and removed all the same.
 */
export function migrateOrphan(client: Client): Command {
  return new Command("migrate-orphan")
    .description("take a session of an earlier release on this host to an agent (root only)")
    .argument("<uuid>", "its id")
    .requiredOption("--to <id>", "the agent's id")
    .option("--port <number>", "publish this port there; -1: the first free one; its own unless told", publishedPort)
    .option("--json", "print JSON")
    .action(async (wanted: string, options: { to: string; port?: number; json?: true }) => {
      const [id, to] = [SessionId.safeParse(wanted), AgentId.safeParse(options.to)];
      if (!id.success) throw new ConvocateError("BAD_USAGE", `${wanted} is no canonical lower-case UUID`);
      if (!to.success)
        throw new ConvocateError("BAD_USAGE", `${options.to} is no agent's id: see \`convocate agents\``);
      if (process.getuid?.() !== 0)
        throw new ConvocateError(
          "WRONG_UID",
          "`convocate migrate-orphan` runs as root: use `convocate-host migrate-session` on the operator's machine",
        );
      const { migrateToAgent, orphansHere } = await import("../../../runtime/shell/index.js");
      const { FormerHome } = await import("../../../runtime/agent/adoption/index.js");
      const source = new FormerHome({ id: id.data, ...(await orphansHere()) });
      const migrated = await live((onProgress) =>
        migrateToAgent(id.data, to.data, source, {
          ...(options.port === undefined ? {} : { port: options.port }),
          onProgress,
          signal: client.signal,
        }),
      );
      tellMoved(client, "migrated", migrated, { to: to.data, json: options.json === true });
    });
}
