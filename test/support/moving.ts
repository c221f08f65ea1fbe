import type { Session } from "../../runtime/domain/index.js";
import type { TestCluster } from "./cluster.js";
import { eventually } from "./eventually.js";

export type Row = Session & { agent: string; reachable: boolean };

/** What is in the part of a home that the session itself does not touch: everything but sockets and FIFOs. */
const HASH = `cd "/home/claude/$1/work"
{ find . ! -type l ! -type p ! -type s -printf '%y %m %U %G %Ts %p\\n'; find . -type l -printf '%p %l\\n'; } | LC_ALL=C sort
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum`;

export async function treeHash(cluster: TestCluster, host: string, id: string): Promise<string> {
  return (await cluster.lab.sh(host, `{ ${HASH}\n} | sha256sum`.replaceAll("$1", id), { timeoutMs: 120_000 })).trim();
}

/** A home with what homes may hold, and so many MiB that no compression makes smaller. */
export async function fillHome(cluster: TestCluster, host: string, id: string, megabytes: number): Promise<void> {
  const script = `set -e; mkdir -p "/home/claude/${id}/work/deep" && cd "/home/claude/${id}/work"
    head -c ${megabytes}M /dev/urandom >random; echo text >deep/file; ln deep/file hard; ln -s /nowhere dangling
    truncate -s 256M sparse; mkfifo pipe; chmod 4711 deep/file; touch -d 2020-01-01 deep; chown -R 1337:1337 .`;
  await cluster.lab.sh(host, script, { timeoutMs: 120_000 });
}

/** The one row of a session that can be used, once every agent answers. */
export async function onlyRow(cluster: TestCluster, id: string): Promise<Row> {
  return await eventually(
    `session ${id} to be on exactly one agent`,
    async () => {
      // Not json(): an agent that has just been killed is no error here.
      const { stdout } = await cluster.convocate(["ls", "--json"]);
      if (stdout === "") return false;
      const { sessions, unreachable } = JSON.parse(stdout) as { sessions: Row[]; unreachable: unknown[] };
      const rows = sessions.filter((row) => row.id === id);
      const [row] = rows;
      return unreachable.length === 0 && rows.length === 1 && row?.reachable && row.status.state !== "locked" && row;
    },
    { timeoutMs: 120_000, everyMs: 500 },
  );
}
