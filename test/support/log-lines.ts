import { newSessionId, type SessionId } from "../../runtime/domain/index.js";
import type { TestCluster } from "./cluster.js";
import { RelpClient, type RelpOptions } from "./relp.js";

const TLS = "/etc/convocate-agent/rsyslog-tls";
const CLIENT_CONF = "/etc/rsyslog.d/10-convocate-client.conf";
export const LOGS = "/var/log/convocate-agent";

/** What an agent has to forward logs with. */
export interface AgentTls extends Required<RelpOptions> {
  agentId: string;
  token: string;
}

export async function agentTls(cluster: TestCluster, agent: string): Promise<AgentTls> {
  const read = async (script: string): Promise<string> => (await cluster.lab.sh(agent, script)).trim();
  const [ca, cert, key, agentId, token] = await Promise.all([
    read(`cat ${TLS}/ca.crt`),
    read(`cat ${TLS}/client.crt`),
    read(`cat ${TLS}/client.key`),
    read("cat /etc/convocate-agent/agent-id"),
    read(`grep -o '[0-9a-f]\\{64\\}' ${CLIENT_CONF}`),
  ]);
  return { host: cluster.lab.host("shell").address, ca, cert, key, agentId, token };
}

/** A syslog message (RFC 5424) as an agent's rsyslog makes it, or as somebody else would like it. */
export function syslog(
  text: string,
  { token, host = "agent", tag = "tag", data }: { token?: string; host?: string; tag?: string; data?: string },
): string {
  const structured = data ?? (token === undefined ? "-" : `[convocate@32473 token="${token}"]`);
  return `<14>1 ${new Date().toISOString()} ${host} ${tag} - - ${structured} ${text}`;
}

/** Whether the log server takes a line of somebody with that certificate; why not, when it does not. */
export async function letsIn(options: RelpOptions): Promise<true | string> {
  try {
    using client = await RelpClient.open(options);
    await client.send([syslog("let in", {})]);
    return true;
  } catch (error) {
    return String(error);
  }
}

/** The authority of the cluster's log certificates with its key, as its operator has it; in one PEM. */
export async function logAuthority(cluster: TestCluster): Promise<string> {
  const { stdout } = await cluster.pulumi(["stack", "export", "--show-secrets"]);
  const { deployment } = JSON.parse(stdout) as { deployment: { resources: { type: string; outputs?: unknown }[] } };
  const found = deployment.resources.find(({ type }) => type.endsWith(":CertificateAuthority"));
  const { certPem, keyPem } = plain(found?.outputs) as { certPem: string; keyPem: string };
  return certPem + keyPem;
}

/** Secrets of a state come as `{plaintext: "JSON"}`. */
function plain(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  if ("plaintext" in value && typeof value.plaintext === "string") return plain(JSON.parse(value.plaintext));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

const KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key";
const IN_A_FOLDER = 'umask 077; folder=$(mktemp -d); trap \'rm -rf "$folder"\' EXIT; cd "$folder"; exec 2>said';

/** Certificate and key in one PEM, of an authority that nobody here knows. */
export async function foreignAuthority(cluster: TestCluster): Promise<string> {
  const make = `openssl req -x509 ${KEY} -subj '/CN=convocate log authority' -days 5 -out cert; cat cert key`;
  return await cluster.lab.sh("agent-1", `${IN_A_FOLDER}; ${make}`);
}

/** A client's certificate and key in one PEM, for `days` from now; with 0 it has expired once this second is over. */
export async function issue(cluster: TestCluster, authority: string, name: string, days: number): Promise<string> {
  const request = `openssl req -new ${KEY} -subj '/CN=${name}' -addext 'subjectAltName=DNS:${name}' -addext extendedKeyUsage=clientAuth`;
  const sign = `openssl x509 -req -CA ca -CAkey ca -CAcreateserial -days ${days} -copy_extensions copy -out cert`;
  return await cluster.lab.sh("agent-1", `${IN_A_FOLDER}; cat >ca; ${request} | ${sign}; cat cert key`, {
    input: authority,
  });
}

/** Numbered lines that something says on an agent as a session's container does: through Docker and the journal. */
export class NumberedLines {
  readonly id: SessionId = newSessionId();

  constructor(
    readonly cluster: TestCluster,
    readonly agent: string,
  ) {}

  /** Says the lines from `from` to `to`; in parts of `part`, with a pause after each. Resolves when Docker has all. */
  async say(from: number, to: number, { part = to - from + 1, pauseS = 0 } = {}): Promise<void> {
    const script = `for at in $(seq ${from} ${part} ${to}); do
        last=$((at + ${part} - 1)); [ $last -le ${to} ] || last=${to}
        seq -f 'number-%.0f-' $at $last; sleep ${pauseS}
      done`;
    const name = `convocate-session-${this.id}`;
    const image = "$(cat /etc/convocate-agent/current-image)";
    const flags = `--rm --name ${name} --log-driver journald --log-opt tag=${this.id} --network none --entrypoint sh`;
    await this.cluster.lab.sh(
      this.agent,
      `docker run ${flags} "${image}" -c '${script.replaceAll("'", "'\\''")}' >/dev/null`,
      {
        timeoutMs: 900_000,
      },
    );
  }

  /** How often each number is in the files of the shell host, the rotated ones included. */
  async arrived(): Promise<Map<number, number>> {
    const script = `cd ${LOGS}; for file in *.log*; do case $file in *.gz) zcat "$file" ;; *) cat "$file" ;; esac; done |
      grep -F ' ${this.id} ' | grep -o 'number-[0-9]*-' | cut -d - -f 2 || :`;
    const counts = new Map<number, number>();
    for (const word of (await this.cluster.lab.sh("shell", script, { timeoutMs: 120_000 })).split("\n")) {
      if (word !== "") counts.set(Number(word), (counts.get(Number(word)) ?? 0) + 1);
    }
    return counts;
  }

  /** Waits until `last` has come and no more comes; answers with what is missing up to it, and how many came twice. */
  async settled(
    last: number,
    { timeoutMs = 180_000, quietMs = 5000 } = {},
  ): Promise<{ missing: number[]; twice: number }> {
    const end = Date.now() + timeoutMs;
    let before = -1;
    let since = Date.now();
    for (;;) {
      const arrived = await this.arrived();
      const missing = Array.from({ length: last }, (_, n) => n + 1).filter((n) => !arrived.has(n));
      const twice = [...arrived.values()].filter((count) => count > 1).length;
      if (missing.length === 0) return { missing, twice };
      if (arrived.size !== before) {
        before = arrived.size;
        since = Date.now();
      }
      if ((arrived.has(last) && Date.now() - since > quietMs) || Date.now() > end) return { missing, twice };
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}
