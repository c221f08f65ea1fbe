import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { allowArgv } from "../../infra/host/firewall.js";
import type { Lab } from "../lab/lab.js";
import { must } from "./exec.js";

/**
 * What convocate has written on a host lies in these places; `checkComplete` tells when one is missing here. All of them
 * are patterns, so that those without a match vanish: not every host has every file.
 */
const PLACES = [
  "/etc/convocate*",
  "/etc/cron.daily/convocate*",
  "/etc/dnsmasq.d/*convocate*",
  "/etc/docker/daemon.jso[n]",
  "/etc/logrotate.d/convocate*",
  "/etc/rsyslog.d/*convocate*",
  "/etc/ssh/sshd_config.d/*convocate*",
  "/etc/systemd/*.conf.d/*convocate*",
  "/etc/systemd/system/*.d/*convocate*",
  "/etc/systemd/system/convocate*",
  "/usr/local/bin/convocate*",
  "/usr/local/lib/convocate*",
] as const;

/** Resources name their host; where that is, the inventory says. */
const HostInputs = z.looseObject({ host: z.string() });
const Declared = {
  Packages: z.object({ packages: z.array(z.string()) }),
  ServiceUser: z.object({ user: z.string(), uid: z.number(), gid: z.number(), home: z.string() }),
  Firewall: z.object({ allow: z.array(z.string()) }),
  Unit: z.object({ unit: z.string() }),
  Slice: z.object({ slice: z.string() }),
  DockerDaemon: z.object({}),
  KeyPair: z.object({
    path: z.string(),
    mode: z.string().default("0600"),
    owner: z.string().default("root"),
    group: z.string().default("root"),
  }),
  Files: z.object({
    files: z.record(
      z.string(),
      z.looseObject({
        type: z.string(),
        mode: z.string(),
        owner: z.string().default("root"),
        group: z.string().default("root"),
      }),
    ),
  }),
  Line: z.object({ path: z.string() }),
  Program: z.object({ release: z.string() }),
} as const;
type Kind = keyof typeof Declared;

const StackExport = z.object({
  deployment: z.object({
    resources: z.array(z.object({ type: z.string(), inputs: z.unknown().optional() })).default([]),
  }),
});

/** Pulumi's mark of a secret in a state; `--show-secrets` puts the value beside it as JSON. */
const SECRET = "4dabf18193072939515e22adb298388d";

/** The value with its secrets shown. Kept in memory only: of a secret file the peers need the path, and take the rest from the host. */
export function shown(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value !== "object" || value === null) return value;
  if (SECRET in value) return "plaintext" in value ? shown(JSON.parse(String(value.plaintext))) : null;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shown(inner)]));
}

/** The resources of one machine by its names, by kind, from `pulumi stack export --show-secrets`. */
export function declaredOn<K extends Kind>(
  exported: string,
  hosts: readonly string[],
  kind: K,
): z.output<(typeof Declared)[K]>[] {
  const { resources } = StackExport.parse(JSON.parse(exported)).deployment;
  return resources
    .map(({ type, inputs }) => ({ type, inputs: shown(inputs) }))
    .filter(({ type, inputs }) => {
      const parsed = HostInputs.safeParse(inputs);
      return type === `convocate:index:${kind}` && parsed.success && hosts.includes(parsed.data.host);
    })
    .map(({ inputs }) => Declared[kind].parse(inputs) as z.output<(typeof Declared)[K]>);
}

interface Owned {
  path: string;
  owner: string;
  group: string;
  mode: string;
}

/** What a peer has to bring about; playbook.yaml and deploy.py read it. */
export interface PeerState {
  packages: string[];
  user: { name: string; uid: number; gid: number; home: string; shell: string };
  directories: Owned[];
  files: (Owned & { source: string; restarts: string[] })[];
  /** Private keys that are made on the host; the public ones come with them. */
  made_keys: Owned[];
  /** What ufw is told, and what its file says of it then. */
  rules: { command: string; tuple: string }[];
  units: { name: string; enabled?: true }[];
}

/** Parses `find -printf '%y\t%u\t%g\t%m\t%p\n'`. Modes get four digits. */
export function parseFound(stdout: string): { directories: Owned[]; files: Owned[] } {
  const directories: Owned[] = [];
  const files: Owned[] = [];
  for (const line of stdout.split("\n").filter(Boolean)) {
    const [type = "", owner = "", group = "", mode = "", path = ""] = line.split("\t");
    const owned = { path, owner, group, mode: mode.padStart(4, "0") };
    if (type === "d") directories.push(owned);
    else if (type === "f") files.push(owned);
    else throw new Error(`${path} is neither a file nor a directory (${type}); the peers' state does not know that`);
  }
  return { directories, files };
}

/** Throws when a rollout declares a path that PLACES does not reach: the peers would have less to do than we. */
export function checkComplete(declared: readonly string[], found: readonly string[]): void {
  const missing = declared.filter((path) => !found.includes(path));
  if (missing.length > 0)
    throw new Error(`the peers' state lacks ${missing.join(", ")}: add the place to PLACES in capture.ts`);
}

/**
 * A service of ours on a peer's host only has to exist: its program would meet keys of another host. What starts it is
 * replaced by a sleep; the file stays as long as it was, and is watched all the same.
 */
export function standIn(unit: string): string {
  return unit
    .split("\n")
    .filter((line) => !/^(ExecStartPre|ExecStartPost|ExecReload|Type|WatchdogSec)=/.test(line))
    .map((line) => (line.startsWith("ExecStart=") ? "ExecStart=/bin/sleep infinity" : line))
    .join("\n");
}

function restartsFor(path: string): string[] {
  if (path.startsWith("/etc/systemd/system/")) return ["daemon-reload"];
  if (path.startsWith("/etc/rsyslog.d/")) return ["rsyslog"];
  if (path.startsWith("/etc/dnsmasq.d/")) return ["dnsmasq"];
  if (path.startsWith("/etc/ssh/")) return ["ssh"];
  if (path === "/etc/docker/daemon.json") return ["docker"];
  return [];
}

/**
 * Takes from a host what our rollout made of it: files with their contents into `folder`, and `<role>.json` that says the
 * rest. @param exported what `pulumi stack export --show-secrets` says of the stack that the host belongs to.
 * @param names what the inventory calls it: two where it is shell host and agent.
 */
export async function captureHost(
  lab: Lab,
  host: string,
  exported: string,
  folder: string,
  role: string,
  names: readonly string[] = [host],
): Promise<PeerState> {
  const on = <K extends Kind>(kind: K) => declaredOn(exported, names, kind);
  const user = on("ServiceUser")[0];
  if (!user) throw new Error(`the stack declares no service user on ${host}: was it rolled out?`);
  const find = `shopt -s nullglob; find ${PLACES.join(" ")} -printf '%y\\t%u\\t%g\\t%m\\t%p\\n'`;
  const found = parseFound(await lab.sh(host, find));

  const declared = on("Files").flatMap(({ files }) => Object.entries(files));
  checkComplete(
    [
      ...declared.filter(([, entry]) => entry.type === "file").map(([path]) => path),
      ...on("Line").map(({ path }) => path),
    ],
    found.files.map(({ path }) => path),
  );
  const madeKeys = on("KeyPair");
  const made = new Set(madeKeys.flatMap(({ path }) => [path, `${path}.pub`]));
  // Releases before this one stay on a host, and no rollout looks at them.
  const releases = new Set(on("Program").map(({ release }) => release));
  const old = (path: string): boolean => {
    const release = /^\/usr\/local\/lib\/convocate\/releases\/([^/]+)/.exec(path)?.[1];
    return release !== undefined && !releases.has(release);
  };
  const others = on("DockerDaemon").length > 0 ? [] : ["/etc/docker/daemon.json"];
  const files = found.files.filter(({ path }) => !made.has(path) && !old(path) && !others.includes(path));
  const directories = new Map(
    found.directories.filter(({ path }) => !old(path)).map((directory) => [directory.path, directory]),
  );
  for (const [path, entry] of declared) {
    if (entry.type === "directory")
      directories.set(path, { path, owner: entry.owner, group: entry.group, mode: entry.mode });
  }
  // Folders of drop-ins are nobody's, and may not be there yet.
  for (const { path } of files.filter(({ path }) => /^\/etc\/systemd\/.*\.d\//.test(path)))
    directories.set(dirname(path), { path: dirname(path), owner: "root", group: "root", mode: "0755" });
  for (const path of [user.home, `${user.home}/.skel`])
    directories.set(path, { path, owner: user.user, group: user.user, mode: "0750" });

  const content = join(folder, role);
  await rm(content, { recursive: true, force: true });
  await mkdir(content, { recursive: true });
  await copyOut(
    lab,
    host,
    files.map(({ path }) => path),
    content,
  );
  for (const { path } of files.filter(({ path }) => /^\/etc\/systemd\/system\/[^/]+\.service$/.test(path))) {
    const local = join(content, path);
    await writeFile(local, standIn(await readFile(local, "utf8")));
  }
  const units = [...on("Unit").map(({ unit }) => unit), ...(on("DockerDaemon").length > 0 ? ["docker.service"] : [])];
  const state: PeerState = {
    packages: [
      // Those with `?` are in others here.
      ...new Set(
        on("Packages")
          .flatMap(({ packages }) => packages.filter((spec) => !spec.endsWith("?")))
          .map((spec) => spec.split("|")[0] ?? spec),
      ),
    ],
    user: { name: user.user, uid: user.uid, gid: user.gid, home: user.home, shell: "/bin/bash" },
    directories: [...directories.values()].sort((a, b) => (a.path < b.path ? -1 : 1)),
    files: files.map((file) => ({ ...file, source: join(role, file.path), restarts: restartsFor(file.path) })),
    made_keys: madeKeys.map(({ path, owner, group, mode }) => ({ path, owner, group, mode })),
    rules: [...new Set(["22/tcp", ...on("Firewall").flatMap(({ allow }) => allow)])].map(firewallRule),
    units: [
      ...[...new Set(units)].map((name) => ({ name, enabled: true as const })),
      ...[...new Set(on("Slice").map(({ slice }) => slice))].map((name) => ({ name })),
    ],
  };
  await writeFile(join(folder, `${role}.json`), JSON.stringify(state, null, 2));
  return state;
}

function firewallRule(rule: string): PeerState["rules"][number] {
  const [open = "", from = "0.0.0.0/0"] = rule.split(" from ");
  const [port = "", protocol = "any"] = open.split("/");
  const tuple = `### tuple ### allow ${protocol} ${port} 0.0.0.0/0 any ${from} in`;
  return { command: allowArgv(rule).join(" "), tuple };
}

/** A tar over ssh, into a file first: the runtime alone is 120 MB. */
async function copyOut(lab: Lab, host: string, paths: readonly string[], folder: string): Promise<void> {
  const archive = join(folder, "host.tar");
  const list = join(folder, "host.list");
  await writeFile(list, paths.map((path) => `${path.slice(1)}\n`).join(""));
  const script = 'list=$1 archive=$2; shift 2; ssh "$@" "tar -C / -cf - -T -" <"$list" >"$archive"';
  await must(["bash", "-euc", script, "copy", list, archive, ...lab.sshArgs(host, "root")], { timeoutMs: 120_000 });
  await must(["tar", "-C", folder, "-xf", archive, "--no-same-owner"], { timeoutMs: 120_000 });
  await Promise.all([rm(archive), rm(list)]);
}
