import type { Connection } from "../connection/index.js";
import { runScript } from "../host/script.js";

/** What one script saw on a host, by name; what it could not see is missing. */
export type Facts = ReadonlyMap<string, string>;

export interface Questions {
  units: readonly string[];
  /** Each with the unit that listens on it. */
  ports: readonly { port: number; unit: string }[];
  /** Certificate file, or empty. */
  certificate: string;
  /** Private keys, which must be their owner's alone. */
  keys: readonly string[];
  slice: string;
  /** Where sessions' homes are; empty on a host that is no agent. */
  homes: string;
}

/**
 * One look at everything, changing nothing; a part that hangs is given up after its own deadline, so that one sick daemon
 * does not hide the rest. A line `name=value` each.
 */
const LOOK = `
units=$1 ports=$2 certificate=$3 keys=$4 slice=$5 homes=$6
say() { printf '%s=%s\\n' "$1" "$2"; }
say now "$(date +%s.%N)"
for unit in $units; do
  say "unit.$unit" "$(systemctl is-active -- "$unit" 2>/dev/null || :) $(systemctl is-enabled -- "$unit" 2>/dev/null || :)"
done
for port in $ports; do say "port.$port" "$(ss -Hltn "sport = :$port" | wc -l)"; done
for key in $keys; do say "key.$key" "$(stat -c %a -- "$key" 2>/dev/null || echo missing)"; done
[ -z "$certificate" ] || say certificate "$(base64 -w0 <"$certificate" 2>/dev/null || :)"
say disk./ "$(df --output=avail,size -B1 / | tail -n 1)"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then say cgroup v2; else say cgroup v1; fi
say firewall "$(ufw status 2>/dev/null | head -n 1)"
say rsyslog "$(timeout 20 rsyslogd -N1 >/dev/null 2>&1 && echo good || echo bad)"
[ -n "$homes" ] || exit 0
say disk.homes "$(df --output=avail,size -B1 -- "$homes" 2>/dev/null | tail -n 1)"
say docker "$(timeout 8 docker info --format '{{.CgroupDriver}} {{.LiveRestoreEnabled}} {{.DockerRootDir}}' 2>/dev/null || :)"
root=$(timeout 8 docker info --format '{{.DockerRootDir}}' 2>/dev/null || :)
[ -z "$root" ] || say disk.docker "$(df --output=avail,size -B1 -- "$root" | tail -n 1)"
say slice "$(systemctl show -p ActiveState --value -- "$slice")"
say slice.quota "$(systemctl show -p CPUQuotaPerSecUSec --value -- "$slice")"
say slice.memoryMax "$(systemctl show -p MemoryMax --value -- "$slice")"
say slice.memory "$(systemctl show -p MemoryCurrent --value -- "$slice")"
group=$(systemctl show -p ControlGroup --value -- "$slice")
[ ! -r "/sys/fs/cgroup$group/memory.pressure" ] || say slice.pressure "$(head -n 1 "/sys/fs/cgroup$group/memory.pressure")"
image=$(cat /etc/convocate-agent/current-image 2>/dev/null || :)
say image "$image"
[ -z "$image" ] || say image.here "$(timeout 8 docker image inspect -f ok -- "$image" 2>/dev/null || echo missing)"
say spool "$(du -cb /var/spool/rsyslog/convocate-forward* 2>/dev/null | tail -n 1 | cut -f 1)"`;

/** Parses what LOOK printed. Pure. */
export function parseFacts(stdout: string): Facts {
  const facts = new Map<string, string>();
  for (const line of stdout.split("\n")) {
    const at = line.indexOf("=");
    if (at > 0) facts.set(line.slice(0, at), line.slice(at + 1).trim());
  }
  return facts;
}

export async function look(connection: Connection, questions: Questions, signal?: AbortSignal): Promise<Facts> {
  const { units, ports, certificate, keys, slice, homes } = questions;
  const args = [units.join(" "), ports.map(({ port }) => port).join(" "), certificate, keys.join(" "), slice, homes];
  const { stdout } = await runScript(connection, LOOK, args, { timeoutMs: 60_000, ...(signal && { signal }) });
  return parseFacts(stdout);
}
