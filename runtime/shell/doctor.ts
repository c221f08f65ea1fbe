import { Resolver } from "node:dns/promises";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { shellPaths, toConvocateError, type StoreState } from "../domain/index.js";
import type { AgentView, Cluster } from "./cluster.js";

/** One line of a diagnosis; `mend` is what to do about what is not ok. */
export interface Check {
  /** An agent's name, or `shell`. */
  subject: string;
  check: string;
  state: "ok" | "warn" | "fail";
  message: string;
  mend: string | null;
}

export interface DoctorOptions {
  /** This program's release. */
  release: string;
  /** What convocate-status says of its store; an error when it does not answer. */
  status: { store: StoreState } | { error: string };
  paths?: Partial<Record<"logs", string>>;
  /** Addresses of a name, asked from this host's dnsmasq. */
  resolve?: (name: string) => Promise<string[]>;
  nowMs?: number;
}

/** An agent logs at least its own starts; silence for so long is worth a look. */
const LOG_SILENT_MS = 7 * 86_400_000;
/** Names that are asked for; each is one question to this machine's own dnsmasq. */
const NAMES_ASKED = 20;

/** What can be known from the shell host about the cluster's health: `convocate-host doctor` looks at the hosts themselves. */
export async function diagnose(cluster: Cluster, options: DoctorOptions): Promise<Check[]> {
  const agents = cluster.agents();
  const perAgent = await Promise.all(agents.map((agent) => agentChecks(cluster, agent, options)));
  return [
    statusCheck(options.status),
    agents.length === 0
      ? warn("shell", "agents", "there are none", "convocate-host init-agent --host HOST")
      : ok("shell", "agents", `${agents.length} registered`),
    releaseCheck(agents, options.release),
    await dnsCheck(cluster, options.resolve ?? askDnsmasq),
    ...orphanChecks(cluster),
    ...perAgent.flat(),
  ];
}

function statusCheck(status: DoctorOptions["status"]): Check {
  if ("error" in status)
    return fail("shell", "convocate-status", status.error, "sudo systemctl restart convocate-status");
  if (status.store.state === "ok") return ok("shell", "convocate-status", "answers, and stores events");
  return fail(
    "shell",
    "convocate-status",
    `cannot store events since ${status.store.since}: ${status.store.error}`,
    `make room on the disk of ${shellPaths.state}; it goes on by itself`,
  );
}

function releaseCheck(agents: readonly AgentView[], release: string): Check {
  const others = agents.filter((agent) => agent.release !== null && agent.release !== release);
  if (others.length === 0) return ok("shell", "release", release);
  const told = others.map((agent) => `${agent.name} ${agent.release ?? ""}`).join(", ");
  return warn("shell", "release", `${release} here, but ${told}`, "convocate-host update --all");
}

async function dnsCheck(cluster: Cluster, resolve: (name: string) => Promise<string[]>): Promise<Check> {
  const named = cluster
    .sessions()
    .filter(({ session, reachable }) => reachable && session.dns_name !== null && session.status.state !== "orphan");
  if (named.length === 0) return ok("shell", "dns", "no session has a DNS name");
  const asked = named.slice(0, NAMES_ASKED).flatMap(({ session }) => session.dns_name ?? []);
  const answers = await Promise.all(asked.map((name) => resolve(name).catch(() => [])));
  const missing = asked.filter((_, at) => (answers[at] ?? []).length === 0);
  if (missing.length === 0)
    return ok("shell", "dns", `${asked.length} of ${named.length} names asked for, all resolve`);
  return fail(
    "shell",
    "dns",
    `no address for ${missing.join(", ")}`,
    "sudo systemctl restart dnsmasq; journalctl -u convocate-status",
  );
}

function orphanChecks(cluster: Cluster): Check[] {
  const orphans = cluster.sessions().filter(({ session }) => session.status.state === "orphan");
  if (orphans.length === 0) return [];
  const message = `${orphans.length} sessions of an earlier release are on no agent`;
  return [warn("shell", "orphans", message, "convocate-host migrate-session --agent AGENT --all")];
}

async function agentChecks(cluster: Cluster, agent: AgentView, options: DoctorOptions): Promise<Check[]> {
  const { name, connection, heard, image } = agent;
  const checks: Check[] = [];
  if (connection.state === "connecting")
    return [
      fail(name, "answers", connection.error ?? "not yet", `convocate-host doctor --host ${name}`),
      heardCheck(agent),
    ];
  checks.push(ok(name, "answers", `on ${agent.address}`), heardCheck(agent));
  if (heard?.peer_lost_since)
    checks.push(
      warn(
        name,
        "heard by it",
        `it has not heard from this host since ${heard.peer_lost_since}`,
        "sudo systemctl restart convocate-status",
      ),
    );
  checks.push(
    image === null
      ? fail(name, "image", "none is set", `convocate-host update --host ${name}`)
      : ok(name, "image", image),
  );
  checks.push(...(await capacityChecks(cluster, agent)));
  checks.push(await logCheck(agent, options));
  return checks;
}

function heardCheck({ name, heard }: AgentView): Check {
  const mend = `convocate-host doctor --host ${name}`;
  if (!heard) return warn(name, "heard", "convocate-status has not heard of it", mend);
  if (heard.connection === "silent") return fail(name, "heard", `silent since ${heard.since}`, mend);
  return ok(name, "heard", `last heartbeat ${heard.last_heartbeat_at ?? "not yet"}`);
}

async function capacityChecks(cluster: Cluster, { id, name }: AgentView): Promise<Check[]> {
  try {
    const { allowed, pledged, warnings } = await cluster.capacity(id);
    const full = (["cpus", "memory_bytes", "disk_bytes"] as const).filter((what) => pledged[what] > allowed[what]);
    return [
      full.length === 0
        ? ok(name, "capacity", `${pledged.sessions} session${pledged.sessions === 1 ? "" : "s"} within what it may`)
        : warn(name, "capacity", `more ${full.join(", ")} pledged than it may`, `convocate capacity ${name}`),
      ...warnings.map((warning) => warn(name, "host", warning, `convocate-host doctor --host ${name}`)),
    ];
  } catch (thrown) {
    const error = toConvocateError(thrown);
    const mend =
      error.code === "UNKNOWN_OP" ? `convocate-host update --host ${name}` : `convocate-host doctor --host ${name}`;
    return [warn(name, "capacity", error.message, mend)];
  }
}

async function logCheck({ id, name }: AgentView, { paths, nowMs = Date.now() }: DoctorOptions): Promise<Check> {
  const path = join(paths?.logs ?? shellPaths.logs, `${id}.log`);
  const mend = `convocate-host doctor --host ${name}`;
  try {
    const { mtimeMs } = await stat(path);
    const last = new Date(mtimeMs).toISOString();
    if (nowMs - mtimeMs > LOG_SILENT_MS) return warn(name, "logs", `nothing came since ${last}`, mend);
    return ok(name, "logs", `last line ${last}`);
  } catch {
    return warn(name, "logs", `${path} is not there: nothing was forwarded yet`, mend);
  }
}

async function askDnsmasq(name: string): Promise<string[]> {
  const resolver = new Resolver({ timeout: 1000, tries: 2 });
  resolver.setServers(["127.0.0.1"]);
  const [four, six] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
  return [four, six].flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
}

function ok(subject: string, check: string, message: string): Check {
  return { subject, check, state: "ok", message, mend: null };
}

function warn(subject: string, check: string, message: string, mend: string): Check {
  return { subject, check, state: "warn", message, mend };
}

function fail(subject: string, check: string, message: string, mend: string): Check {
  return { subject, check, state: "fail", message, mend };
}
