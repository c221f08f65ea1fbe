import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { agentKeyFiles, agentPaths, shellPaths } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/index.js";
import { agentsArgv, parseAgents, type ListedAgent } from "../host/agents.js";
import { wrapperPath } from "../host/program.js";
import { runScript } from "../host/script.js";
import { Walk, type Finding } from "./finding.js";

/** A loaded host may take some seconds to open a connection: that is no fault yet. */
const ANSWER_WITHIN_S = 15;

/** What the shell host says of its agents: whether each answers it, and is heard by it. */
export async function askShell(
  shell: Connection,
  user: string,
  agents: readonly string[],
  signal?: AbortSignal,
): Promise<Finding[]> {
  const argv = agentsArgv(user, agents, ANSWER_WITHIN_S);
  const timeoutMs = (ANSWER_WITHIN_S + 20) * 1000;
  const result = await shell.run(argv, { allowFailure: true, timeoutMs, ...(signal && { signal }) });
  const walk = new Walk(shell.host.name);
  const listed = parseAgents(result.stdout);
  if (!listed) {
    walk.fail(
      "agents",
      "convocate agents does not answer",
      `journalctl -u convocate-status -n 20 (on ${shell.host.name})`,
    );
    return walk.findings;
  }
  for (const name of agents) judgeAgent(walk, name, listed);
  return walk.findings;
}

function judgeAgent(walk: Walk, name: string, listed: readonly ListedAgent[]): void {
  const agent = listed.find((one) => one.name === name);
  const what = `agent ${name}`;
  const mend = `convocate-host init-agent --host ${name}`;
  if (!agent) return walk.fail(what, "is not registered", mend);
  const { state, error } = agent.connection;
  if (state !== "connected") return walk.fail(what, error ?? `did not answer within ${ANSWER_WITHIN_S} s`, mend);
  walk.ok(what, `answers${agent.release ? ` as ${agent.release}` : ""}`);
  if (agent.heard?.connection !== "connected")
    walk.fail(what, "convocate-status does not hear it", `journalctl -u convocate-agent -n 20 (on ${name})`);
}

const FIRST_WORDS = `
for file in "$@"; do cut -d ' ' -f 1,2 -- "$file" 2>/dev/null | head -n 1 || echo; done`;

/** Both ends pin each other's keys: compares what each has of the other's with what the other has itself. */
export async function comparePins(agent: Connection, shell: Connection, signal?: AbortSignal): Promise<Finding[]> {
  const walk = new Walk(agent.host.name);
  const options = { ...(signal && { signal }) };
  const id = (await agent.run(["cat", "--", agentPaths.agentId], { ...options, allowFailure: true })).stdout.trim();
  const mend = `convocate-host init-agent --host ${agent.host.name}`;
  if (!/^[a-z0-9]{8}$/.test(id)) {
    walk.fail("agent id", "is missing", mend);
    return walk.findings;
  }
  const folder = `${shellPaths.agentKeys}/${id}`;
  const read = async (connection: Connection, paths: string[]): Promise<string[]> =>
    (await runScript(connection, FIRST_WORDS, paths, options)).stdout.split("\n");
  const [atAgent, atShell] = await Promise.all([
    read(agent, [`${agentPaths.hostKey}.pub`, agentPaths.shellHostKey, `${agentPaths.agentToShellKey}.pub`]),
    read(shell, [
      `${folder}/${agentKeyFiles.hostKey}`,
      `${shellPaths.hostKey}.pub`,
      `${folder}/${agentKeyFiles.agentToShellPublicKey}`,
    ]),
  ]);
  const pins = ["the agent's host key", "the shell's host key", "the agent's key for tcp/223"];
  pins.forEach((what, i) => {
    const same = atAgent[i] !== undefined && atAgent[i] !== "" && atAgent[i] === atShell[i];
    walk.holds(`pin of ${what}`, same, "is the same on both ends", "differs between the two ends", mend);
  });
  return walk.findings;
}

/** A line as a session's container would log it, with a word that nobody else says. */
const SPEAK = `
printf 'MESSAGE=%s\\nPRIORITY=6\\nSYSLOG_IDENTIFIER=convocate-doctor\\nCONTAINER_NAME=convocate-session-doctor\\n' "$1" | logger --journald
cat -- ${agentPaths.agentId}`;
const FORWARD_MS = 20_000;
/**
 * How often it is said: rsyslog finds out that the shell's was restarted while it had nothing to send by the second line
 * only, and then sends the first one, too.
 */
const SPEAK_EVERY_MS = 3_000;

/** Sends a line through the agent's journal and waits for it in the agent's file on the shell host. */
export async function forwardLine(agent: Connection, shell: Connection, signal?: AbortSignal): Promise<Finding[]> {
  const walk = new Walk(agent.host.name);
  const options = { ...(signal && { signal }) };
  const word = `doctor-${randomUUID()}`;
  const deadline = Date.now() + FORWARD_MS;
  let saidAt = -Infinity;
  let file = "";
  do {
    if (Date.now() - saidAt >= SPEAK_EVERY_MS) {
      saidAt = Date.now();
      file = `${shellPaths.logs}/${(await runScript(agent, SPEAK, [word], options)).stdout.trim()}.log`;
    }
    const { exitCode } = await shell.run(["grep", "-qsF", "--", word, file], { ...options, allowFailure: true });
    if (exitCode === 0) {
      walk.ok("log forwarding", `a line came through to ${file}`);
      return walk.findings;
    }
    await sleep(500, undefined, options);
  } while (Date.now() < deadline);
  walk.fail(
    "log forwarding",
    `a line did not come through within ${FORWARD_MS / 1000} s`,
    `journalctl -u rsyslog -n 20 (on ${agent.host.name} and on ${shell.host.name})`,
  );
  return walk.findings;
}

/** Asks dnsmasq itself, with the Node that the programs run on: hosts need no other tool. */
const RESOLVE = `
node=$(sed -n 's/^exec \\([^ ]*\\) .*/\\1/p' ${wrapperPath("convocate")})
record=$(grep -v '^#' ${shellPaths.dnsmasqHosts} 2>/dev/null | head -n 1 || :)
"$node" -e '
const dns = new (require("node:dns").promises.Resolver)({ timeout: 2000, tries: 1 });
dns.setServers(["127.0.0.1"]);
const [address, name] = process.argv[1].split(/\\s+/);
dns.resolve4(name ?? "nobody.invalid").then(
  (got) => console.log(got.includes(address) ? "right" : "wrong " + name),
  (error) => console.log(["ENOTFOUND", "ENODATA", "EREFUSED", "ESERVFAIL"].includes(error.code) ? (name ? "wrong " + name : "right") : error.code));
' "$record"`;

export async function askDns(shell: Connection, signal?: AbortSignal): Promise<Finding[]> {
  const walk = new Walk(shell.host.name);
  const { stdout } = await runScript(shell, RESOLVE, [], {
    allowFailure: true,
    timeoutMs: 20_000,
    ...(signal && { signal }),
  });
  const says = stdout.trim();
  const mend = `systemctl restart dnsmasq (on ${shell.host.name})`;
  if (says === "right") walk.ok("dns", "answers on 127.0.0.1");
  else if (says.startsWith("wrong ")) walk.fail("dns", `does not know ${says.slice(6)}, which it should`, mend);
  else walk.fail("dns", `does not answer (${says || "no answer"})`, mend);
  return walk.findings;
}
