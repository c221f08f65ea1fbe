import { ConvocateError, type AgentId, type SessionId } from "../../domain/index.js";
import type { SessionView } from "../cluster.js";
import { readRecords } from "./records.js";

/**
 * A DNS name is unique in the whole cluster (SPEC 10), and an agent knows its own only. Beside the agents' lists, the
 * names that dnsmasq serves are looked at for agents that cannot be asked now.
 * @throws ConvocateError DNS_NAME_TAKEN when a session other than `own` has the name.
 */
export async function refuseTakenName(options: {
  name: string;
  own: SessionId | null;
  sessions: readonly SessionView[];
  /** Agents whose list may be old, or was never heard. */
  silent: ReadonlySet<AgentId>;
  hostsFile: string;
}): Promise<void> {
  const wanted = options.name.toLowerCase();
  const holder = options.sessions.find(
    ({ session }) => session.dns_name === wanted && session.id !== options.own && session.status.state !== "orphan",
  );
  if (holder) throw taken(wanted, `session ${holder.session.name} on ${holder.agentName}`);
  if (options.silent.size === 0) return;
  const served = (await readRecords(options.hostsFile)).find(
    ({ name, session, agent }) => name === wanted && session !== options.own && options.silent.has(agent),
  );
  if (served) throw taken(wanted, `session ${served.session} on agent ${served.agent}, which does not answer now`);
}

function taken(name: string, whose: string): ConvocateError {
  return new ConvocateError("DNS_NAME_TAKEN", `the DNS name ${name} belongs to ${whose}: choose another`);
}
