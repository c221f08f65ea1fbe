import { ConvocateError } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { runScript, withSignal } from "./script.js";

/** What a host is. */
export interface HostFacts {
  /** `debian 12`, `ubuntu 22.04`. */
  os: string;
  /** As Node names it. */
  arch: "x64" | "arm64";
  cpus: number;
  memoryBytes: number;
  cgroup: "v1" | "v2";
}

/** Of another os-release than the host's, when its argument names one. */
export const FACTS = `
. "\${1:-/etc/os-release}"
echo "os=\${ID:-unknown} \${VERSION_ID:-0}"
echo "arch=$(uname -m)"
echo "cpus=$(nproc --all)"
echo "memory=$(sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo)"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo cgroup=v2; else echo cgroup=v1; fi
if [ -d /run/systemd/system ]; then echo init=systemd; else echo init=other; fi`;

const OLDEST: Record<string, number> = { debian: 12, ubuntu: 22.04 };

/** Parses what FACTS printed; UNSUPPORTED_HOST for anything but Debian 12+, Ubuntu 22.04+, x86-64, arm64, systemd. Pure. */
export function parseFacts(host: string, stdout: string): HostFacts {
  const fact = (name: string): string => new RegExp(`^${name}=(.*)$`, "m").exec(stdout)?.[1] ?? "";
  const refuse = (what: string): never => {
    throw new ConvocateError(
      "UNSUPPORTED_HOST",
      `${host}: ${what} is not supported; convocate wants Debian 12+ or Ubuntu 22.04+ with systemd on x86-64 or arm64`,
    );
  };
  const os = fact("os");
  const [id = "", version = ""] = os.split(" ");
  const oldest = OLDEST[id];
  // `testing` and `sid` have no version; they are newer than any.
  if (oldest === undefined || (Number(version) < oldest && version !== "0")) refuse(os || "this system");
  if (fact("init") !== "systemd") refuse("a host without systemd");
  const arch = { x86_64: "x64", aarch64: "arm64" }[fact("arch")] as HostFacts["arch"] | undefined;
  const cpus = Number(fact("cpus"));
  const memoryBytes = Number(fact("memory")) * 1024;
  if (!(cpus > 0) || !(memoryBytes > 0)) refuse("a host that does not tell its CPUs and memory");
  return {
    os,
    arch: arch ?? refuse(`processor ${fact("arch")}`),
    cpus,
    memoryBytes,
    cgroup: fact("cgroup") === "v2" ? "v2" : "v1",
  };
}

export async function readFacts(connection: Connection, signal?: AbortSignal): Promise<HostFacts> {
  const { stdout } = await runScript(connection, FACTS, [], withSignal(signal));
  return parseFacts(connection.host.name, stdout);
}
