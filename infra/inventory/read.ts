import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, relative, resolve } from "node:path";
import { byText, ConvocateError, type Labels } from "../../runtime/domain/index.js";
import type { HostAddress } from "../connection/types.js";
import { InventoryDocument } from "./document.js";
import { KnownHosts } from "./known-hosts.js";
import { Logins } from "./login.js";
import { badInventory, pathText, type Problem } from "./problem.js";
import { crossProblems } from "./rules.js";
import { InventoryFile } from "./schema.js";

/** What the shell host and the agents have in common. */
export interface InventoryHost {
  name: string;
  /** How this machine reaches it, defaults applied; what resources take as their host. */
  host: HostAddress;
  /** Address at which the cluster's other hosts reach it. */
  clusterAddress: string;
  /** tcp port of sshd, for the firewall. */
  sshPort: number;
  /** As `Europe/Berlin`; the host keeps its own when left out. */
  timeZone?: string;
  /** In the order in which they run; none when left out. */
  hooks?: InventoryHook[];
}

/** A command of the operator's own: a script for root's `sh -eu`, and which of the stack's secrets its environment has. */
export type InventoryHook = NonNullable<InventoryFile["shell"]["hooks"]>[number];

export interface InventoryShell extends InventoryHost {
  statusPort: number;
}

export interface InventoryAgent extends InventoryHost {
  agentPort: number;
  /** Held at it; without a v in front. */
  release?: string;
  /** Shares of the host that sessions may use or pledge together, in percent. */
  cpuPercent: number;
  memoryPercent: number;
  diskPercent: number;
  labels: Labels;
  /** Private ranges that its sessions may reach. */
  egress: string[];
  session: NonNullable<InventoryFile["agents"][number]["session"]>;
  /** True when the shell host is this same machine. */
  onShellHost: boolean;
}

/** A cluster as its inventory says, with every default applied and every path absolute. */
export interface Inventory {
  /** The file, absolute. */
  path: string;
  cluster: string;
  shell: InventoryShell;
  agents: InventoryAgent[];
  service: InventoryFile["service"];
  image: InventoryFile["image"];
  certificates: InventoryFile["certificates"];
}

type HostFile = InventoryFile["shell"] | InventoryFile["agents"][number];

/** Reads and judges an inventory as a whole; throws BAD_INVENTORY with a line per problem. Touches no host. */
export function readInventory(path: string): Inventory {
  const absolute = resolve(path);
  return parseInventory(readText(absolute), absolute);
}

/** As `readInventory`, of a text that would stand at `path`. `unpinned` lets hosts have no host key yet. */
export function parseInventory(text: string, path: string, options: { unpinned?: boolean } = {}): Inventory {
  const file = shortest(path);
  const document = new InventoryDocument(text);
  const syntax = document.syntaxProblems();
  if (syntax.length > 0) throw badInventory(file, syntax);

  const parsed = InventoryFile.safeParse(document.yaml.toJS());
  const problems = [
    ...(parsed.success ? [] : document.schemaProblems(InventoryFile, parsed.error.issues)),
    ...crossProblems(document),
  ];
  if (!parsed.success) throw badInventory(file, problems);
  const unpinned: Problem[] = [];
  const inventory = new Resolver(parsed.data, document, path).resolve(unpinned);
  if (options.unpinned !== true) problems.push(...unpinned);
  if (problems.length > 0) throw badInventory(file, problems);
  return inventory;
}

/** Every host of an inventory once, the shell host first: it may be an agent of the same name, too. */
export function hostsOf({ shell, agents }: Inventory): InventoryHost[] {
  return [shell, ...agents.filter(({ name }) => name !== shell.name)];
}

class Resolver {
  readonly #logins: Logins;
  readonly #missingKnownHosts: string | undefined;

  constructor(
    private readonly file: InventoryFile,
    private readonly document: InventoryDocument,
    private readonly path: string,
  ) {
    let text = "";
    if (file.knownHosts !== undefined) {
      const at = this.#absolute(file.knownHosts);
      try {
        text = readFileSync(at, "utf8");
      } catch {
        this.#missingKnownHosts = at;
      }
    }
    this.#logins = new Logins(file, new KnownHosts(text), (path) => this.#absolute(path));
  }

  resolve(problems: Problem[]): Inventory {
    const { file } = this;
    const shell: InventoryShell = { ...this.#host(file.shell, ["shell"], problems), statusPort: file.shell.statusPort };
    return {
      path: this.path,
      cluster: file.cluster,
      shell,
      agents: file.agents.map((agent, i) => {
        const host = this.#host(agent, ["agents", i], problems);
        return {
          ...host,
          agentPort: agent.agentPort,
          ...(agent.release !== undefined && { release: agent.release.replace(/^v(?=\d)/, "") }),
          cpuPercent: agent.cpuPercent ?? file.defaults.cpuPercent ?? 90,
          memoryPercent: agent.memoryPercent ?? file.defaults.memoryPercent ?? 90,
          diskPercent: agent.diskPercent ?? file.defaults.diskPercent ?? 90,
          egress: [...new Set([...(file.defaults.egress ?? []), ...(agent.egress ?? [])])].sort(),
          labels: { ...file.defaults.labels, ...agent.labels },
          session: {
            ...file.defaults.session,
            ...agent.session,
            env: { ...file.defaults.session?.env, ...agent.session?.env },
          },
          onShellHost: sameMachine(shell.host, host.host),
        };
      }),
      service: file.service,
      image: file.image,
      certificates: file.certificates,
    };
  }

  #host(entry: HostFile, path: (string | number)[], problems: Problem[]): InventoryHost {
    const { defaults } = this.file;
    const { name } = entry;
    const timeZone = entry.timeZone ?? defaults.timeZone;
    const hooks = [...(defaults.hooks ?? []), ...(entry.hooks ?? [])];
    const sudo = entry.sudoPasswordFile ?? defaults.sudoPasswordFile;
    const settings = { ...(timeZone !== undefined && { timeZone }), ...(hooks.length > 0 && { hooks }) };
    const named = { name, ...(sudo !== undefined && { sudoPasswordFile: this.#absolute(sudo) }) };
    if (entry.address === "local") {
      const host = { ...named, via: "local" } as const;
      const sshPort = entry.port ?? defaults.port ?? 22;
      return { name, host, clusterAddress: entry.clusterAddress ?? "127.0.0.1", sshPort, ...settings };
    }
    const login = this.#logins.of(entry, (message) => {
      problems.push(this.document.problem([...path, "address"], `${pathText(path)} (${name}) ${message}`));
    });
    if (login.hostKeys.length === 0) problems.push(this.#missingKey(name, path));
    return {
      name,
      host: { via: "ssh", ...named, ...login },
      clusterAddress: entry.clusterAddress ?? login.address,
      sshPort: login.port,
      ...settings,
    };
  }

  #missingKey(name: string, path: (string | number)[]): Problem {
    const verb = path[0] === "shell" ? "init-shell" : "init-agent";
    const from = this.#missingKnownHosts
      ? `no pinned host key, and the knownHosts file ${shortest(this.#missingKnownHosts)} is not there`
      : "no pinned host key";
    return this.document.problem(
      [...path, "address"],
      `${pathText(path)} (${name}) has ${from}: add hostKey, or run convocate-host ${verb} --host ${name}, which shows and pins it`,
    );
  }

  /** Relative to the inventory, `~` being the operator's home. */
  #absolute(path: string): string {
    return resolve(dirname(this.path), path.replace(/^~(?=\/|$)/, homedir()));
  }
}

function sameMachine(a: HostAddress, b: HostAddress): boolean {
  if (a.via === "local" || b.via === "local") return a.via === b.via;
  return a.address === b.address && a.port === b.port;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new ConvocateError(
      "BAD_INVENTORY",
      missing
        ? `no inventory at ${shortest(path)}: \`convocate-host init-shell --host HOST\` begins one, and --stack names another; ${othersBeside(path)}`
        : `the inventory ${shortest(path)} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

/** Inventories in the same folder, less the example. */
function othersBeside(path: string): string {
  const names = existsSync(dirname(path)) ? readdirSync(dirname(path)) : [];
  const stacks = names.filter((name) => name.endsWith(".yaml") && name !== "example.yaml");
  if (stacks.length === 0) return "there is none beside it";
  return `there are ${stacks
    .map((name) => basename(name, ".yaml"))
    .sort(byText)
    .join(", ")}`;
}

/** Relative to where we are when that is below, so that an editor finds it. */
function shortest(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}
