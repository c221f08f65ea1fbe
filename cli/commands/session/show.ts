import { Command } from "commander";
import { shortDuration, statusCharacter, statusDetail } from "../../../runtime/domain/index.js";
import type { SessionView } from "../../../runtime/shell/index.js";
import { printJson } from "../../output/json.js";
import type { Client } from "./client.js";
import { LIST_TIMEOUT_MS, resolveSession, sessionJson } from "./resolve.js";
import { bytes } from "../../output/units.js";

/** `convocate show`: all that is known of one session. */
export function show(client: Client): Command {
  return new Command("show")
    .description("show all that is known of one session")
    .argument("<session>", "the beginning of its name or id")
    .option("--json", "print JSON")
    .action(async (wanted: string, options: { json?: true }) => {
      await using cluster = await client.open("when-needed");
      await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
      const view = resolveSession(cluster, wanted);
      if (options.json) printJson(client.out, "session", sessionJson(view));
      else for (const [name, value] of facts(view)) client.out.line(`${name.padEnd(12)} ${value}`);
    });
}

function facts({ session, agentName, reachable }: SessionView): [string, string][] {
  const nowMs = Date.now();
  const { limits, status } = session;
  const ago = (at: string): string => `${at} (${shortDuration(nowMs - Date.parse(at))} ago)`;
  const detail = statusDetail(status, nowMs);
  return [
    ["name", session.name],
    ["id", session.id],
    ["agent", `${agentName}${reachable ? "" : ", which does not answer now: this is what was last known"}`],
    ["state", `${statusCharacter(status, reachable)} ${status.state}${detail === "" ? "" : `, ${detail}`}`],
    ...(status.state === "running"
      ? ([
          ["started", ago(status.started_at)],
          ["attached", String(status.attached)],
        ] as [string, string][])
      : []),
    ...(status.state === "orphan" ? ([["directory", status.path]] as [string, string][]) : []),
    ["port", session.port === 0 ? "-" : `${session.port}/${session.protocol}${session.public ? ", public" : ""}`],
    ["dns", session.dns_name ?? "-"],
    ["cpus", limits.cpus === undefined ? "the agent's" : String(limits.cpus)],
    ["memory", limits.memory_bytes === undefined ? "the agent's" : bytes(limits.memory_bytes)],
    ["pids", limits.pids === undefined ? "the agent's" : String(limits.pids)],
    ["disk", limits.disk_bytes === undefined ? "the agent's" : bytes(limits.disk_bytes)],
    ["docker", session.docker ? "has the agent's Docker socket: it is root there" : "no"],
    ["image", session.image ?? "-"],
    ["created", ago(session.created_at)],
    ["used", ago(session.last_accessed_at)],
    ...(session.restart_to_apply ? ([["edited", "restart to apply"]] as [string, string][]) : []),
  ];
}
