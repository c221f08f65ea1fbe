import { ConvocateError } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { runScript, withSignal } from "./script.js";

/** A port that we are going to listen on, and who of the host may have it already. */
export interface WantedPort {
  port: number;
  what: string;
  /** Names of processes, as `ss` shows them. */
  ours: readonly string[];
}

/** Our own port 514 is rsyslogd's too; whose it is, our file tells. */
const OWNERS_RSYSLOG = "rsyslogd as this host configures it";
const LOOK = `
modules=$1
shift
for port in "$@"; do
  case $port in 53) both=u ;; *) both= ;; esac
  ss -Hlntp$both "sport = :$port" | sed -n "s/.*users:((\\"\\([^\\"]*\\)\\".*/$port \\1/p"
done | if [ -e /etc/rsyslog.d/10-convocate-server.conf ]; then cat; else sed 's/^514 rsyslogd$/514 ${OWNERS_RSYSLOG}/'; fi
echo ---
for module in $modules; do
  grep -lE "^[^#]*(load=\"$module\"|ModLoad +$module)" /etc/rsyslog.conf /etc/rsyslog.d/*.conf 2>/dev/null | sed "s/$/ $module/"
done | grep -v '^/etc/rsyslog.d/10-convocate-'
echo ---
if command -v docker >/dev/null && ! dpkg-query -W -f '\${db:Status-Status}\\n' docker.io docker-ce 2>/dev/null | grep -qx installed; then
  command -v docker
fi`;

/** What of a host stands in our way, a line each. Pure. */
export function parseClashes(host: string, stdout: string, wanted: readonly WantedPort[]): string[] {
  const [listeners = "", modules = "", docker = ""] = stdout.split(/^---$/m);
  const clashes = new Set<string>();
  for (const line of listeners.trim().split("\n")) {
    const [port, ...words] = line.split(" ");
    const process = words.join(" ");
    const want = wanted.find((one) => String(one.port) === port);
    if (want && process !== "" && !want.ours.includes(process))
      clashes.add(
        `${host}: ${process} listens on port ${want.port}, which ${want.what} needs: stop it, or move it to another port`,
      );
  }
  for (const line of modules
    .trim()
    .split("\n")
    .filter((one) => one !== "")) {
    const [file = "", module = ""] = line.split(" ");
    // rsyslog loads a module once, with one set of parameters, so that ours would not be the file's.
    clashes.add(
      `${host}: ${file} loads rsyslog's ${module}, which convocate needs with parameters of its own: take it out of there`,
    );
  }
  if (docker.trim() !== "")
    clashes.add(
      `${host}: ${docker.trim()} is of neither docker.io nor docker-ce: remove it, or install one of these beside it`,
    );
  return [...clashes];
}

/** REFUSED with every clash, before anything is changed. What is there and fits is kept as it is. */
export async function refuseClashes(
  connection: Connection,
  wanted: readonly WantedPort[],
  rsyslogModules: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  const args = [rsyslogModules.join(" "), ...wanted.map(({ port }) => String(port))];
  const { stdout } = await runScript(connection, LOOK, args, withSignal(signal));
  const clashes = parseClashes(connection.host.name, stdout, wanted);
  if (clashes.length > 0) throw new ConvocateError("REFUSED", clashes.join("\n"));
}
