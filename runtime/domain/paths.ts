/** Files on the hosts (SPEC 4), each named once. */
export const SHELL_PORT = 223;
export const AGENT_PORT = 222;

export const shellPaths = {
  etc: "/etc/convocate",
  /** The stack's name: what people call this cluster. */
  clusterName: "/etc/convocate/cluster-name",
  hostKey: "/etc/convocate/status_host_ed25519_key",
  authorizedKeys: "/etc/convocate/status_authorized_keys",
  agentKeys: "/etc/convocate/agent-keys",
  state: "/var/lib/convocate",
  statusDb: "/var/lib/convocate/status.db",
  dnsmasqHosts: "/var/lib/convocate/dnsmasq-hosts",
  statusSocket: "/run/convocate/status.sock",
  logs: "/var/log/convocate-agent",
} as const;

/** In the folder of a session that an earlier release made: such a folder on a shell host is an orphan (SPEC 6.7). */
export const FORMER_SESSION_FILE = "session.json";

/** Names of the files in `/etc/convocate/agent-keys/<agent-id>/`. `agent-name` is the inventory's name, for people. */
export const agentKeyFiles = {
  host: "agent-host",
  name: "agent-name",
  privateKey: "shell_to_agent_ed25519_key",
  publicKey: "shell_to_agent_ed25519_key.pub",
  agentToShellPublicKey: "agent_to_shell_ed25519_key.pub",
  hostKey: "host_key.pub",
} as const;

export const agentPaths = {
  etc: "/etc/convocate-agent",
  agentId: "/etc/convocate-agent/agent-id",
  hostKey: "/etc/convocate-agent/ssh_host_ed25519_key",
  authorizedKeys: "/etc/convocate-agent/authorized_keys",
  agentToShellKey: "/etc/convocate-agent/agent_to_shell_ed25519_key",
  shellHost: "/etc/convocate-agent/shell-host",
  shellHostKey: "/etc/convocate-agent/shell_host_key.pub",
  currentImage: "/etc/convocate-agent/current-image",
  /**
   * Held while images are loaded, named in current-image, or pruned: so nothing that was just brought is taken for what
   * nobody needs.
   */
  imageLock: "/run/convocate-image.lock",
  /** Where an image lies between arriving and being loaded, without a name. */
  arrivals: "/var/lib/convocate-agent/incoming",
  settings: "/etc/convocate-agent/settings.json",
  sessions: "/var/lib/convocate-agent/sessions",
  events: "/var/lib/convocate-agent/events",
  /** A folder per session that runs, with the socket of its hooks; gone with every boot, as the containers' processes are. */
  running: "/run/convocate-agent/sessions",
  /** One file per operation in flight: what a crash leaves says what was interrupted. */
  locks: "/var/lib/convocate-agent/locks",
  /** What other agents sent and is not a session here yet, or was not settled with them. */
  transfers: "/var/lib/convocate-agent/transfers",
  /** What `settings-set` changed. */
  settingsChange: "/var/lib/convocate-agent/settings.json",
} as const;

/** Subsystems of the three doors. */
export const SUBSYSTEM = {
  rpc: "convocate-agent-rpc",
  attach: "convocate-agent-attach",
  status: "convocate-status",
} as const;

/** The host's end of the sessions' network, by which its firewall knows them. */
export const SESSION_BRIDGE = "convocate0";

/** The agent's service on its host. */
export const AGENT_UNIT = "convocate-agent.service";

export const SESSIONS_SLICE = "convocate-sessions.slice";
