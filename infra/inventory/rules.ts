import { AGENT_PORT, SHELL_PORT } from "../../runtime/domain/index.js";
import type { InventoryDocument } from "./document.js";
import { pathText, type Problem } from "./problem.js";

type Path = (string | number)[];
interface RawNamed {
  path: Path;
  name: unknown;
}
interface RawHost extends RawNamed {
  address: unknown;
  port: unknown;
  clusterAddress: unknown;
  /** Port of our own server on it. */
  servicePort: unknown;
}

/**
 * What no schema of one value can see: names and addresses given twice, hosts that cannot reach each other. Works on what
 * the file says, right or wrong, so that these problems are told beside the schema's and not one run later.
 */
export function crossProblems(document: InventoryDocument): Problem[] {
  const raw = asMap(document.yaml.toJS());
  const defaultPort = asMap(raw["defaults"])["port"] ?? 22;
  const host = (value: unknown, path: Path, portKey: string, portDefault: number): RawHost => {
    const map = asMap(value);
    return {
      path,
      name: map["name"],
      address: typeof map["address"] === "string" ? map["address"].toLowerCase() : map["address"],
      port: map["port"] ?? defaultPort,
      clusterAddress: map["clusterAddress"],
      servicePort: map[portKey] ?? portDefault,
    };
  };
  const shell = host(raw["shell"], ["shell"], "statusPort", SHELL_PORT);
  const list = Array.isArray(raw["agents"]) ? raw["agents"] : [];
  const agents = list.map((value: unknown, i) => host(value, ["agents", i], "agentPort", AGENT_PORT));

  const names = (first: RawNamed, second: RawNamed): Problem[] =>
    first.name === second.name && typeof first.name === "string"
      ? [
          document.problem(
            [...second.path, "name"],
            `${pathText([...second.path, "name"])} is ${first.name}, the name of ${pathText(first.path)} too: give it another`,
          ),
        ]
      : [];
  const machines = (first: RawHost, second: RawHost): Problem[] =>
    sameMachine(first, second)
      ? [
          document.problem(
            [...second.path, "address"],
            `${pathText(second.path)} is at ${placeOf(second)}, where ${pathText(first.path)} is too: one machine can be one agent only`,
          ),
        ]
      : [];
  const services = (first: RawHost, second: RawHost): Problem[] =>
    typeof first.address === "string" &&
    first.address === second.address &&
    first.port !== second.port &&
    first.servicePort === second.servicePort
      ? [
          document.problem(
            [...second.path, "address"],
            `${pathText(second.path)} would listen on ${first.address}:${String(first.servicePort)}, where ${pathText(first.path)} does too: ` +
              "give it another agentPort",
          ),
        ]
      : [];
  const local = (one: RawHost): Problem[] =>
    one.address === "local" &&
    one.clusterAddress === undefined &&
    [shell, ...agents].some((other) => other.address !== "local")
      ? [
          document.problem(
            [...one.path, "address"],
            `${pathText(one.path)} is local, and other hosts must reach it: say where with clusterAddress`,
          ),
        ]
      : [];

  const defaultHooks = hooksAt(asMap(raw["defaults"]), ["defaults"]);
  const hooks = (value: unknown, path: Path): Problem[] =>
    pairs([...defaultHooks, ...hooksAt(asMap(value), path)]).flatMap(([a, b]) => names(a, b));

  return [
    ...hooks(raw["shell"], ["shell"]),
    ...list.flatMap((value: unknown, i) => hooks(value, ["agents", i])),
    ...agents.flatMap((agent) => (sameMachine(shell, agent) ? [] : names(shell, agent))),
    ...pairs(agents).flatMap(([a, b]) => [...names(a, b), ...machines(a, b), ...services(a, b)]),
    ...[shell, ...agents].flatMap(local),
  ];
}

function sameMachine(a: RawHost, b: RawHost): boolean {
  return typeof a.address === "string" && a.address === b.address && (a.address === "local" || a.port === b.port);
}

function placeOf(host: RawHost): string {
  return host.address === "local" ? "local" : `${String(host.address)}:${String(host.port)}`;
}

function hooksAt(map: Record<string, unknown>, path: Path): RawNamed[] {
  const list = Array.isArray(map["hooks"]) ? map["hooks"] : [];
  return list.map((value: unknown, i) => ({ path: [...path, "hooks", i], name: asMap(value)["name"] }));
}

function pairs<T>(items: readonly T[]): [T, T][] {
  return items.flatMap((a, i) => items.slice(i + 1).map((b): [T, T] => [a, b]));
}

function asMap(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
