import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Lab } from "../lab/lab.js";
import { ROOT, type TestCluster } from "../support/cluster.js";
import { captureHost } from "./capture.js";
import { must } from "./exec.js";
import { median, type Figure } from "./figures.js";
import { AGENT_ON_SHELL, upChanges, wholeLab } from "./ours.js";
import { ansible, peersHome, pyinfra, type Peer, type PeerOptions } from "./peers.js";

/** SPEC 14, of a first rollout as of one that changes nothing. */
const ATMOST = { ansible: 0.5, pyinfra: 0.8 } as const;
type PeerName = keyof typeof ATMOST;

/**
 * The first rollout of hosts that have their packages, and the session image: what it costs to bring that is a row of its
 * own. @returns milliseconds
 */
export async function firstRollout(cluster: TestCluster): Promise<number> {
  const tag = `convocate:${(await readFile(join(ROOT, "dist/release"), "utf8")).trim()}`;
  const long = { timeoutMs: 1_800_000 };
  await must([join(ROOT, "script/image"), "build", "--tag", tag], long);
  const agents = cluster.lab.hosts.length === 1 ? cluster.lab.hosts : cluster.lab.hosts.slice(1);
  for (const { name } of agents) {
    const pipe = 'tag=$1; shift; docker save "$tag" | ssh "$@" docker load -q';
    await must(["bash", "-eo", "pipefail", "-c", pipe, "seed", tag, ...cluster.lab.sshArgs(name, "root")], long);
  }
  const startedMs = performance.now();
  await cluster.up();
  return performance.now() - startedMs;
}

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

/** What the peers have to bring about: the state that ours are in. */
async function capture(cluster: TestCluster, folder: string, roles: readonly string[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  const exported = await cluster.pulumi(["stack", "export", "--show-secrets"]);
  if (exported.exitCode !== 0) throw new Error(`cannot export stack ${cluster.stack}: ${exported.stderr}`);
  const alone = cluster.lab.hosts.length === 1;
  for (const role of roles)
    await captureHost(cluster.lab, role, exported.stdout, folder, role, alone ? [role, AGENT_ON_SHELL] : [role]);
}

/** The peers, on fresh hosts of their own of the same image, with how long each took to bring them to that state. */
async function peers(
  cluster: TestCluster,
  name: string,
  benchFolder: string,
): Promise<{ lab: Lab; contenders: Contender[]; firstMs: Record<PeerName, number> }> {
  const machines = cluster.lab.hosts.length;
  const work = join(ROOT, ".convocate/labs", `${cluster.lab.name}-state`);
  const roles = machines === 1 ? ["shell"] : ["shell", "agent-1"];
  await capture(cluster, work, roles);
  const home = await peersHome(benchFolder);
  const on = (lab: Lab): PeerOptions => ({
    home,
    benchFolder,
    work,
    lab,
    hosts: lab.hosts.map(({ name, address }) => ({ address, role: name === "shell" ? "shell" : "agent-1" })),
  });
  const first = async (peer: Peer): Promise<number> => {
    process.stderr.write(`bench: ${peer.name} brings ${machines} host(s) to that state\n`);
    return (await peer.apply()).ms;
  };
  const before = await wholeLab(name, machines);
  let ansibleMs: number;
  try {
    ansibleMs = await first(await ansible(on(before)));
  } finally {
    await before.down();
  }
  const lab = await wholeLab(name, machines);
  try {
    const both = [await ansible(on(lab)), await pyinfra(on(lab))] as const;
    const firstMs = { ansible: ansibleMs, pyinfra: await first(both[1]) };
    await both[0].apply();
    const contenders = both.map((peer) => ({
      name: peer.name,
      async noop() {
        const finished = await peer.apply();
        refuseChanges(peer.name, peer.changes(finished), finished.stdout + finished.stderr);
        return finished.ms;
      },
    }));
    return { lab, contenders, firstMs };
  } catch (thrown) {
    await lab.down();
    throw thrown;
  }
}

/**
 * The first rollout, and one that changes nothing and reads every host for drift: ours, Ansible's and pyinfra's, one after the
 * other, first place rotating. @param cluster rolled out, which took `firstMs`.
 */
export async function measureRollout(
  cluster: TestCluster,
  { runs, benchFolder, keep, firstMs }: { runs: number; benchFolder: string; keep: boolean; firstMs: number },
): Promise<Figure[]> {
  const machines = cluster.lab.hosts.length;
  const others = await peers(cluster, `t-bench-peer-${machines}`, benchFolder);
  try {
    const contenders = [convocate(cluster), ...others.contenders];
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
    const hosts = `${machines} host${machines === 1 ? "" : "s"}`;
    const row = (name: PeerName, what: string, ours: number, value: number, samples: number): Figure => ({
      what: `${what}, ${hosts}`,
      ours,
      beside: { name, value },
      target: { kind: "ratio", atMost: ATMOST[name] },
      samples,
    });
    const mid = (name: string): number => median(times.get(name) ?? []);
    return (["ansible", "pyinfra"] as const).flatMap((name) => [
      row(name, "no-op rollout, drift read", mid("convocate"), mid(name), runs),
      row(name, "first rollout, packages and image in place", firstMs, others.firstMs[name], 1),
    ]);
  } finally {
    if (!keep) await others.lab.down();
  }
}
