import { AGENT_PORT, SHELL_PORT } from "../../../runtime/domain/index.js";
import { wrapperPath } from "../../host/program.js";

/**
 * What both services have in common: started again after a second, for ever. The rest keeps a daemon that was taken over
 * from what it never needs; both read and write only below /var, /run and the sessions' homes.
 */
const SERVICE = `Restart=always
RestartSec=1
TimeoutStopSec=20
ProtectSystem=full
ProtectClock=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native`;

/** Sessions are no children of the agent's service, so stopping or restarting it touches none of them. Pure. */
export function agentUnit(port: number): string {
  return `# Written by convocate.
[Unit]
Description=convocate agent: the sessions of this host
After=network-online.target docker.service
Wants=network-online.target docker.service
StartLimitIntervalSec=0

[Service]
ExecStart=${wrapperPath("convocate-agent")} serve${portOption(port, AGENT_PORT)}
${SERVICE}

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
RuntimeDirectory=convocate
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
${SERVICE}

[Install]
WantedBy=multi-user.target
`;
}

const portOption = (port: number, usual: number): string => (port === usual ? "" : ` --port ${port}`);
