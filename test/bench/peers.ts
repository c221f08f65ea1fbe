import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Lab } from "../lab/lab.js";
import { must, run, type Finished } from "./exec.js";

const ROLLOUT_TIMEOUT_MS = 30 * 60_000;

/** Where Ansible and pyinfra are installed, made when missing: a virtual environment in the cache, by its requirements. */
export async function peersHome(benchFolder: string): Promise<string> {
  const requirements = await readFile(join(benchFolder, "requirements.txt"), "utf8");
  const cache =
    process.env.CONVOCATE_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "convocate");
  const hash = createHash("sha256").update(requirements).digest("hex").slice(0, 12);
  const home = join(cache, "bench", `venv-${hash}`);
  const done = join(home, "complete");
  if (existsSync(done)) return home;
  process.stderr.write(`bench: installing Ansible and pyinfra into ${home}\n`);
  await mkdir(join(cache, "bench"), { recursive: true });
  await rm(home, { recursive: true, force: true });
  // The system's own Python: one from a version manager may be built without what they need.
  const python = existsSync("/usr/bin/python3") ? "/usr/bin/python3" : "python3";
  const made = await run([python, "-m", "venv", home], { timeoutMs: 120_000 });
  if (made.exitCode !== 0)
    throw new Error(
      `${python} cannot make a virtual environment: apt-get install python3-venv\n${made.stderr || made.stdout}`,
    );
  const pip = [join(home, "bin/pip"), "install", "--quiet", "--disable-pip-version-check"];
  await must([...pip, "--requirement", join(benchFolder, "requirements.txt")], { timeoutMs: 600_000 });
  await writeFile(`${done}.new`, "");
  await rename(`${done}.new`, done);
  return home;
}

export interface PeerHost {
  address: string;
  /** Name of the `<role>.json` that says what it shall be. */
  role: string;
}

export interface PeerOptions {
  /** Virtual environment with both. */
  home: string;
  /** test/bench. */
  benchFolder: string;
  /** Folder with `<role>.json` and the files they name; inventories are written there. */
  work: string;
  lab: Lab;
  hosts: readonly PeerHost[];
}

/** A way to bring hosts to a state that somebody would use instead of us. */
export interface Peer {
  readonly name: string;
  /** Runs it; throws unless it ended well. */
  apply(): Promise<Finished>;
  /** How many changes it says it made. */
  changes(finished: Finished): number;
}

export async function ansible({ home, benchFolder, work, lab, hosts }: PeerOptions): Promise<Peer> {
  const inventory = join(work, "hosts.ini");
  const ssh = `-F /dev/null -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=${lab.knownHostsPath} -o GlobalKnownHostsFile=/dev/null`;
  const vars = [
    "ansible_user=admin",
    `ansible_ssh_private_key_file=${lab.keyPath}`,
    `ansible_ssh_common_args=${ssh}`,
    "ansible_python_interpreter=/usr/bin/python3",
    `work=${work}`,
  ];
  const lines = ["[all]", ...hosts.map(({ address, role }) => `${address} role=${role}`), "[all:vars]", ...vars];
  await writeFile(inventory, `${lines.join("\n")}\n`);
  const argv = [join(home, "bin/ansible-playbook"), "-i", inventory, join(benchFolder, "playbook.yaml")];
  // Its own folders: nothing of this machine's user is read or left behind.
  const env = {
    ANSIBLE_CONFIG: join(benchFolder, "ansible.cfg"),
    ANSIBLE_HOME: join(work, "ansible"),
    ANSIBLE_NOCOLOR: "1",
  };
  return {
    name: "ansible",
    apply: () => must(argv, { timeoutMs: ROLLOUT_TIMEOUT_MS, env, cwd: work }),
    changes: ({ stdout }) => ansibleChanges(stdout, hosts.length),
  };
}

/** Sums `changed=` of the recap's lines, which must be one per host. */
export function ansibleChanges(stdout: string, hosts: number): number {
  const lines = [...stdout.matchAll(/^\S+\s+: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0\b/gm)];
  if (lines.length !== hosts)
    throw new Error(`Ansible's recap speaks well of ${lines.length} of ${hosts} hosts:\n${stdout.slice(-2000)}`);
  return lines.reduce((sum, [, changed]) => sum + Number(changed), 0);
}

export async function pyinfra({ home, benchFolder, work, lab, hosts }: PeerOptions): Promise<Peer> {
  const inventory = join(work, "inventory.py");
  const all = {
    ssh_user: "admin",
    ssh_key: lab.keyPath,
    ssh_known_hosts_file: lab.knownHostsPath,
    ssh_strict_host_key_checking: "yes",
    work,
  };
  // JSON's strings, numbers, lists and objects are Python's as well; its booleans are not, hence the two by hand.
  const data = JSON.stringify(all).replace(
    /}$/,
    ', "ssh_allow_agent": False, "ssh_look_for_keys": False, "_sudo": True}',
  );
  const list = JSON.stringify(hosts.map(({ address, role }) => [address, { role }]));
  await writeFile(inventory, `hosts = ([tuple(host) for host in ${list}], ${data})\n`);
  const argv = [join(home, "bin/pyinfra"), "--yes", inventory, join(benchFolder, "deploy.py")];
  return {
    name: "pyinfra",
    apply: () => must(argv, { timeoutMs: ROLLOUT_TIMEOUT_MS, cwd: work, env: { NO_COLOR: "1" } }),
    // Its report goes to stderr.
    changes: ({ stdout, stderr }) => pyinfraChanges(stdout + stderr),
  };
}

/** From the row `Grand total  <operations> <changed> <errors> <unchanged>` of its report, `-` for none. */
export function pyinfraChanges(report: string): number {
  const [, changed = "", errors = ""] = /Grand total\s+\S+\s+(\S+)\s+(\S+)\s+\S+/.exec(report) ?? [];
  if (changed === "" || errors !== "-") throw new Error(`pyinfra's report has no good end:\n${report.slice(-2000)}`);
  return changed === "-" ? 0 : Number(changed);
}
