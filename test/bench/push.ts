import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Lab } from "../lab/lab.js";
import { ROOT } from "../support/cluster.js";
import { must } from "./exec.js";
import { median, type Figure } from "./figures.js";
import { wholeLab } from "./ours.js";

const TIMEOUT_MS = 1_200_000;
const PEER = "docker save | gzip | ssh | docker load";
const SIZE_BYTES = 1e9;
const CHANGE_BYTES = 10e6;
const IMAGES = { first: "convocate:t-bench-1", second: "convocate:t-bench-2" } as const;

const docker = async (...argv: string[]): Promise<string> =>
  (await must(["docker", ...argv], { timeoutMs: TIMEOUT_MS, env: { DOCKER_BUILDKIT: "0" } })).stdout.trim();

/**
 * A Debian server's files, and a part of this machine's programs and libraries: 1 GB as Docker counts it. Then the same with
 * 10 MB on top, of which half cannot be packed.
 */
async function makeImages(): Promise<void> {
  const [base = ""] = (await docker("image", "ls", "-q", "convocate-lab-host")).split("\n");
  if (base === "") throw new Error("there is no image of a lab host on this machine: script/lab up makes one");
  const size = Number(await docker("image", "inspect", "--format", "{{.Size}}", base));
  const folder = await mkdtemp(join(tmpdir(), "convocate-bench-"));
  try {
    const build = async (tag: string, from: string, file: string): Promise<void> => {
      await writeFile(join(folder, "Dockerfile"), `FROM ${from}\nCOPY ${file} /${file}\n`);
      await docker("build", "-q", "-t", tag, folder);
    };
    const script = 'tar -C /usr -cf - bin lib 2>/dev/null | head -c "$1" >"$2"';
    await must(["sh", "-c", script, "more", String(Math.max(0, SIZE_BYTES - size)), join(folder, "more")], {
      timeoutMs: TIMEOUT_MS,
    });
    await build(IMAGES.first, base, "more");
    await rm(join(folder, "more"));
    const half = CHANGE_BYTES / 2;
    const change = Buffer.concat([randomBytes(half), Buffer.alloc(half, "a line of a text\n")]);
    await writeFile(join(folder, "change"), change);
    await build(IMAGES.second, IMAGES.first, "change");
  } finally {
    await rm(folder, { recursive: true });
  }
}

interface Contender {
  /** The host that it pushes to. */
  host: string;
  push(tag: string): string[];
}

async function contenders(lab: Lab): Promise<Record<"ours" | "peer", Contender>> {
  const { address, port } = lab.host("shell");
  const pinned = (await readFile(lab.knownHostsPath, "utf8"))
    .split("\n")
    .filter((line) => line.startsWith(`${address} `));
  const hostKeys = pinned.map((line) => line.split(" ").slice(1, 3).join(" "));
  const target = { via: "ssh", name: "shell", address, port, user: "root", hostKeys, identityFile: lab.keyPath };
  const pipe = 'tag=$1; shift; docker save "$tag" | gzip | ssh "$@" docker load -q';
  return {
    ours: {
      host: "shell",
      push: (tag) => [process.execPath, join(ROOT, "dist/bench/push-main.mjs"), JSON.stringify(target), tag],
    },
    peer: {
      host: "agent-1",
      push: (tag) => ["bash", "-eo", "pipefail", "-c", pipe, "push", tag, ...lab.sshArgs("agent-1", "root")],
    },
  };
}

const STEPS = [
  { what: "first push of a 1 GB image", tag: IMAGES.first, target: { kind: "ratio", atMost: 0.6 } },
  { what: "push of an unchanged 1 GB image", tag: IMAGES.first, target: { kind: "value", atMost: 1000 } },
  { what: "push after a 10 MB change", tag: IMAGES.second, target: { kind: "ratio", atMost: 0.05 } },
] as const;

/**
 * Pushes of SPEC 14, each a process from its start to its end: ours as `pulumi up` does it, connection and verification and
 * current-image included, and what somebody would type instead. Each to a host of its own, in turns.
 */
export async function measurePush({ runs }: { runs: number }): Promise<Figure[]> {
  process.stderr.write("bench: push: two hosts and two images are made\n");
  const lab = await wholeLab("t-bench-push", 2);
  try {
    await makeImages();
    const both = await contenders(lab);
    for (const { host } of Object.values(both))
      await lab.sh(host, "mkdir -p /etc/convocate-agent /var/lib/convocate-agent");
    const times = STEPS.map(() => ({ ours: [] as number[], peer: [] as number[] }));
    for (let round = 0; round < runs; round++) {
      for (const { host } of Object.values(both))
        await lab.sh(host, `docker image rm -f ${IMAGES.first} ${IMAGES.second} >/dev/null 2>&1 || :`);
      for (const [index, { what, tag }] of STEPS.entries()) {
        const wanted = await docker("image", "inspect", "--format", "{{.Id}}", tag);
        for (const who of round % 2 === 0 ? (["ours", "peer"] as const) : (["peer", "ours"] as const)) {
          const { host, push } = both[who];
          const { ms } = await must(push(tag), { timeoutMs: TIMEOUT_MS });
          process.stderr.write(`bench: ${what}, ${who}: ${(ms / 1000).toFixed(2)} s\n`);
          const there = await lab.sh(host, `docker image inspect --format '{{.Id}}' ${tag}`);
          if (there.trim() !== wanted) throw new Error(`${who}: ${host} has ${there.trim()} as ${tag}, not ${wanted}`);
          times[index]?.[who].push(ms);
        }
      }
    }
    return STEPS.map(({ what, target }, index) => ({
      what,
      ours: median(times[index]?.ours ?? []),
      beside: { name: PEER, value: median(times[index]?.peer ?? []) },
      target,
      samples: runs,
    }));
  } finally {
    await docker("image", "rm", "-f", ...Object.values(IMAGES)).catch(() => undefined);
    await lab.down();
  }
}
