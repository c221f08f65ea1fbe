import { AGENT_UNIT, shellPaths } from "../../../runtime/domain/index.js";

/** Name in the log server's certificate; agents' have the agent's name, which has no dot. */
export const LOG_SERVER_NAME = "shell.convocate";
export const LOG_PORT = 514;

export const serverTls = {
  folder: `${shellPaths.etc}/rsyslog-ca`,
  ca: `${shellPaths.etc}/rsyslog-ca/ca.crt`,
  cert: `${shellPaths.etc}/rsyslog-ca/server.crt`,
  key: `${shellPaths.etc}/rsyslog-ca/server.key`,
} as const;

export const clientTls = {
  folder: "/etc/convocate-agent/rsyslog-tls",
  ca: "/etc/convocate-agent/rsyslog-tls/ca.crt",
  cert: "/etc/convocate-agent/rsyslog-tls/client.crt",
  key: "/etc/convocate-agent/rsyslog-tls/client.key",
} as const;

/** What waits on an agent's disk while the shell host is away. */
const QUEUE_BYTES = 1024 * 1024 * 1024;
/** Characters; what is longer is no line of a log. Below the 8 KiB that rsyslog takes. */
const LONGEST_LINE = 4096;
/** Of what matches no agent. */
const QUARANTINE_BYTES = 10 * 1024 * 1024;

/** One file per agent, which turns its token into its id; included by the server's ruleset. */
export const tokenFolder = `${shellPaths.etc}/log-agents`;
export const tokenPath = (agentId: string): string => `${tokenFolder}/${agentId}.conf`;

/** Pure. `agentId` is 8 of a-z and 0-9, `token` hexadecimal: nothing in them can end a string. */
export function tokenRule(agentId: string, token: string): string {
  return `# Written by convocate.
if $.token == "${token}" then { set $.agent = "${agentId}"; }
`;
}

/**
 * The log server. Why so (shared experience with rsyslog 8.2302): no property gives the name in the peer's certificate, and
 * host name, tag and text can be forged, so each agent adds a secret token that chooses its file. `Direct`, because a
 * queue in memory loses lines that RELP has acknowledged. The list of names is read at start only. An output channel ends
 * the quarantine file at its size; the versions of rsyslog that we support have no other limit in common. No line reaches a
 * file with a control character in it, so none can end before its end, or work on a terminal.
 */
export function serverConfig(agentNames: readonly string[], group: string): string {
  // An empty list would let everybody in who has a certificate of the authority.
  const peers = agentNames.length > 0 ? [...agentNames].sort() : ["nobody.invalid"];
  return `# Written by convocate: logs of the agents, one file each in ${shellPaths.logs}.
module(load="imrelp")

template(name="convocateFile" type="list") {
  constant(value="${shellPaths.logs}/")
  property(name="$.agent" securepath="replace")
  constant(value=".log")
}
template(name="convocateLine" type="string" string="%timestamp:::date-rfc3339% %programname% %msg:::drop-last-lf,space-cc%\\n")
$outchannel convocateQuarantine,${shellPaths.logs}/quarantine.log,${QUARANTINE_BYTES}

ruleset(name="convocateAgents" queue.type="Direct") {
  set $.token = re_extract($structured-data, "token=\\"([0-9a-f]{64})\\"", 0, 1, "");
  set $.agent = "";
  include(file="${tokenFolder}/*.conf" mode="optional")
  if re_match($.agent, "^[a-z0-9]{8}\\$") then {
    action(type="omfile" dynaFile="convocateFile" dynaFileCacheSize="64" template="convocateLine" fileCreateMode="0640" fileOwner="root"
      fileGroup="${group}" createDirs="off")
  } else {
    :omfile:$convocateQuarantine;convocateLine
  }
}

input(type="imrelp" port="${LOG_PORT}" ruleset="convocateAgents" keepAlive="on" tls="on"
  tls.caCert="${serverTls.ca}" tls.myCert="${serverTls.cert}" tls.myPrivKey="${serverTls.key}"
  tls.authMode="name" tls.permittedPeer=[${peers.map((name) => `"${name}"`).join(", ")}])
`;
}

/**
 * An agent's end. The journal has the agent's lines and, through Docker's journald driver, the sessions'. What imjournal
 * brings ends here: the host's own lines come by imuxsock and go where its owner sends them. Those of sessions, which come
 * that way again, would double every session's log on its disk, and flood whatever its owner forwards to. The queue is on disk:
 * nothing is lost while the shell is down. When it is full, new lines are dropped at once: to wait for room would hold up
 * the host's own log, which takes the same way up to here. When rsyslog stops, what is on its way gets some seconds to be
 * acknowledged. `shell` is an address or a host name.
 */
export function clientConfig(shell: string, token: string): string {
  return `# Written by convocate: logs of the agent and its sessions, to the shell host.
module(load="omrelp")
module(load="imjournal" StateFile="convocate-imjournal" PersistStateInterval="100" Ratelimit.Interval="0"
  IgnorePreviousMessages="on")

template(name="convocateForward" type="string"
  string="<%PRI%>1 %TIMESTAMP:::date-rfc3339% %HOSTNAME% %programname% - - [convocate@32473 token=\\"${token}\\"] %msg:1:${LONGEST_LINE}:space-cc%")

ruleset(name="convocateForward" queue.type="Direct") {
  action(type="omrelp" name="convocate" target="${shell}" port="${LOG_PORT}" template="convocateForward" timeout="30"
    tls="on" tls.caCert="${clientTls.ca}" tls.myCert="${clientTls.cert}" tls.myPrivKey="${clientTls.key}"
    tls.authMode="name" tls.permittedPeer=["${LOG_SERVER_NAME}"]
    queue.type="Disk" queue.filename="convocate-forward" queue.size="5000000" queue.maxDiskSpace="${QUEUE_BYTES}" queue.timeoutEnqueue="0"
    queue.checkpointInterval="100" queue.saveOnShutdown="on" queue.timeoutShutdown="5000" queue.timeoutActionCompletion="5000"
    action.resumeRetryCount="-1" action.resumeInterval="2" action.resumeIntervalMax="10")
}

if $inputname == "imjournal" then {
  if $!_SYSTEMD_UNIT == "${AGENT_UNIT}" or $!CONTAINER_NAME startswith "convocate-session-" then {
    call convocateForward
  }
  stop
}
if $inputname == "imuxsock" and re_match($programname, "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\$") then stop
`;
}

/** rsyslog starts without what it cannot parse, and says so in its log only: so it is asked first, and fails loudly. */
export const restartRsyslog: string[][] = [
  ["rsyslogd", "-N1"],
  ["systemctl", "restart", "rsyslog.service"],
];

/** systemd gives rsyslog up after a few quick restarts, which a rollout to many agents brings. */
export const rsyslogDropIn = {
  path: "/etc/systemd/system/rsyslog.service.d/10-convocate.conf",
  content: "# Written by convocate.\n[Unit]\nStartLimitIntervalSec=0\n",
} as const;

/** A burst of one session must not cost another's lines. */
export const journaldDropIn = {
  path: "/etc/systemd/journald.conf.d/10-convocate.conf",
  content: "# Written by convocate.\n[Journal]\nRateLimitIntervalSec=0\nRateLimitBurst=0\n",
} as const;

export const logrotateConfig = `# Written by convocate.
${shellPaths.logs}/*.log {
  daily
  rotate 14
  missingok
  notifempty
  compress
  delaycompress
  sharedscripts
  postrotate
    systemctl kill --signal=HUP --kill-who=main rsyslog.service
  endscript
}
`;
