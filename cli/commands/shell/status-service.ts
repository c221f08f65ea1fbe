import { shellPaths, type AgentId } from "../../../runtime/domain/index.js";
import { NameAuthority, SessionFollower, reloadDnsmasq } from "../../../runtime/shell/dns/index.js";
import { findServiceUser } from "../../../runtime/shell/index.js";
import { keepConnections, serveStatus } from "../../../runtime/shell/status/index.js";
import { serviceLog } from "../../output/log.js";
import { interruptSignal } from "../../output/run.js";

/** Runs convocate-status until SIGTERM (or Ctrl-C), logging JSON lines to stdout for the journal. */
export async function runStatusService(port: number): Promise<void> {
  const log = serviceLog();
  const told = Promise.withResolvers<undefined>();
  const stop = (): void => told.resolve(undefined);
  process.once("SIGTERM", stop);
  interruptSignal.addEventListener("abort", stop, { once: true });
  const user = await findServiceUser();
  if (!user) log.warn({}, "no service user on this host: only root may read the status socket");

  await using names = new NameAuthority({ path: shellPaths.dnsmasqHosts, reload: reloadDnsmasq, log });
  await names.load();
  await using service = await serveStatus({
    port,
    gid: user?.gid ?? null,
    log,
    list: () => follower.listNow(),
    onEvent: (event) => follower.heard(event),
  });
  using follower: SessionFollower = new SessionFollower(names, (id, sessions) => service.listed(id, sessions), log);
  const agents = new Set<AgentId>();
  await using _connections = await keepConnections({
    log,
    onAgent: (id, entry) => {
      if (entry) agents.add(id);
      else names.forgetAgent(id);
      if (entry) void names.agentAt(id, entry.host);
    },
    onUp: (id, connection) => follower.connected(id, connection),
  });
  names.keepOnly(agents);
  await told.promise;
  log.info({ port: service.port }, "convocate-status stops");
}
