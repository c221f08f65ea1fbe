import { AGENT_PORT, SHELL_PORT } from "../../../runtime/domain/index.js";
import { wrapperPath } from "../../host/program.js";

/**
 * What both services have in common: started again after a second, for ever, and kept from what they never need, should one
 * be taken over. `systemd-analyze security` says 8.1 without all this; the acceptance tests hold both at 3.0 or below. What
 * a service keeps all the same stands with its reason in its own unit, for whoever reads it on the host.
 */
const HARDENED = `Restart=always
RestartSec=1
TimeoutStopSec=20

# Writes nowhere but in the folders that are named above.
ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
NoNewPrivileges=yes
UMask=0077
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@clock @cpu-emulation @debug @module @mount @obsolete @raw-io @reboot @resources @swap
# Set here, because raising it is one of @resources. A thousand attaches take some thousand descriptors.
LimitNOFILE=524288

# It runs for months: what is free goes back to the host. V8 would keep 48 MB for what has just come into being, and the C
# library an arena for each of Node's threads.
Environment=NODE_OPTIONS=--max-semi-space-size=2 MALLOC_ARENA_MAX=2`;

/** The exceptions that every program on Node has. */
const NODE = `# No MemoryDenyWriteExecute: Node compiles JavaScript while it runs. No PrivateNetwork, no
# IPAddressDeny: it serves and dials hosts whose addresses are the operator's to choose.`;

/**
 * Sessions are no children of the agent's service, so stopping or restarting it touches none of them. `home` is the service
 * user's, where the sessions' homes are. Pure.
 */
export function agentUnit(port: number, home: string): string {
  return `# Written by convocate.
[Unit]
Description=convocate agent: the sessions of this host
After=network-online.target docker.service
Wants=network-online.target docker.service
RequiresMountsFor=${home}
StartLimitIntervalSec=0

[Service]
ExecStart=${wrapperPath("convocate-agent")} serve${portOption(port, AGENT_PORT)}
StateDirectory=convocate-agent
StateDirectoryMode=0700
# Kept over a restart: running containers have what is in it mounted.
RuntimeDirectory=convocate-agent
RuntimeDirectoryPreserve=yes
# The sessions' homes; other people's are not there for it.
BindPaths=${home}
ProtectHome=tmpfs
${HARDENED}

# What it keeps, and why. Root, because Docker's socket makes root of whoever may use it, so another user would only look safer.
# CHOWN, FOWNER, FSETID, DAC_OVERRIDE: homes are the service user's, closed to others, and copied with owner and mode.
# KILL: ends tmux clients of lost attaches, which Docker leaves behind. NET_BIND_SERVICE: tcp/222.
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_NET_BIND_SERVICE
# AF_UNIX: Docker's socket and the sessions' hooks.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
# No ProtectProc, no ProcSubset: it looks whether a process is in a session's container before it ends it, and at the host's
# memory and boot id. No PrivateUsers: it gives files to the service user. No RestrictSUIDSGID, no
# SystemCallFilter=~@privileged: a copied home keeps its owners and all its mode bits.
${NODE}

[Install]
WantedBy=multi-user.target
`;
}

/** `RuntimeDirectory` makes /run/convocate for the socket, and keeps it over a restart for those who watch it. Pure. */
export function statusUnit(port: number): string {
  return `# Written by convocate.
[Unit]
Description=convocate status: what the agents of this cluster report
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=${wrapperPath("convocate")} status-serve${portOption(port, SHELL_PORT)}
StateDirectory=convocate
StateDirectoryMode=0755
RuntimeDirectory=convocate
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
${HARDENED}
ProtectHome=yes
RestrictSUIDSGID=yes

# What it keeps, and why. Root, because /etc/convocate is root's, its host key above all.
# CHOWN, DAC_OVERRIDE: gives its socket to the service user's group. KILL: tells dnsmasq, which gave up root, of new names.
# NET_BIND_SERVICE: tcp/223.
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_KILL CAP_NET_BIND_SERVICE
# AF_UNIX: the status socket.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
# No ProtectProc, no ProcSubset, no PrivateUsers: dnsmasq is another user's process. No SystemCallFilter=~@privileged: chown.
${NODE}

[Install]
WantedBy=multi-user.target
`;
}

const portOption = (port: number, usual: number): string => (port === usual ? "" : ` --port ${port}`);
