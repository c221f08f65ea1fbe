import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Lab } from "../lab/lab.js";
import { ROOT, type TestCluster } from "../support/cluster.js";
import { captureHost } from "./capture.js";
import { median, type Figure } from "./figures.js";
import { upChanges, wholeLab } from "./ours.js";
import { ansible, peersHome, pyinfra } from "./peers.js";

/** SPEC 14, no-op rollout with drift read. */
const ATMOST = { ansible: 0.5, pyinfra: 0.8 } as const;

interface Contender {
  name: string;
  /** Runs it once; resolves to milliseconds. Throws when it changed anything. */
  noop(): Promise<number>;
}

function refuseChanges(name: string, changes: number, said: string): void {
  if (changes > 0)
    throw new Error(`${name} changed ${changes} things in a run that should change nothing:\n${said.slice(-4000)}`);
}

function convocate(cluster: TestCluster): Contender {
  return {
    name: "convocate",
    async noop() {
      const startedMs = performance.now();
      const said = await cluster.up();
      const ms = performance.now() - startedMs;
      refuseChanges("convocate", upChanges(said), said);
      return ms;
    },
  };
}

/** The peers, on hosts of their own of the same image, which they bring to the state that ours are in. */
async function peers(cluster: TestCluster, lab: Lab, benchFolder: string): Promise<Contender[]> {
  const work = join(ROOT, ".convocate/labs", lab.name, "state");
  await mkdir(work, { recursive: true });
  const exported = await cluster.pulumi(["stack", "export", "--show-secrets"]);
  if (exported.exitCode !== 0) throw new Error(`cannot export stack ${cluster.stack}: ${exported.stderr}`);
  const roles = lab.hosts.length === 1 ? ["shell"] : ["shell", "agent-1"];
  for (const role of roles) await captureHost(cluster.lab, role, exported.stdout, work, role);
  const hosts = lab.hosts.map(({ name, address }) => ({ address, role: name === "shell" ? "shell" : "agent-1" }));
  const options = { home: await peersHome(benchFolder), benchFolder, work, lab, hosts };
  const contenders: Contender[] = [];
  for (const peer of [await ansible(options), await pyinfra(options)]) {
    process.stderr.write(`bench: ${peer.name} brings ${hosts.length} host(s) to that state\n`);
    await peer.apply();
    contenders.push({
      name: peer.name,
      async noop() {
        const finished = await peer.apply();
        refuseChanges(peer.name, peer.changes(finished), finished.stdout + finished.stderr);
        return finished.ms;
      },
    });
  }
  return contenders;
}

/**
 * A rollout that changes nothing and reads every host for drift: ours, Ansible's and pyinfra's, one after the other, first
 * place rotating. @param cluster rolled out.
 */
export async function measureRollout(
  cluster: TestCluster,
  { runs, benchFolder, keep }: { runs: number; benchFolder: string; keep: boolean },
): Promise<Figure[]> {
  const machines = cluster.lab.hosts.length;
  const lab = await wholeLab(`t-bench-peer-${machines}`, machines);
  try {
    const contenders = [convocate(cluster), ...(await peers(cluster, lab, benchFolder))];
    // The first run of each only shows that it changes nothing.
    for (const contender of contenders) await contender.noop();
    const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
    for (let round = 0; round < runs; round++) {
      for (let turn = 0; turn < contenders.length; turn++) {
        const contender = contenders[(round + turn) % contenders.length];
        const ms = await contender?.noop();
        if (contender && ms !== undefined) times.get(contender.name)?.push(ms);
      }
    }
    const ours = median(times.get("convocate") ?? []);
    return (["ansible", "pyinfra"] as const).map((name) => ({
      what: `no-op rollout, drift read, ${machines} host${machines === 1 ? "" : "s"}`,
      ours,
      beside: { name, value: median(times.get(name) ?? []) },
      target: { kind: "ratio", atMost: ATMOST[name] },
      samples: runs,
    }));
  } finally {
    if (!keep) await lab.down();
  }
}
