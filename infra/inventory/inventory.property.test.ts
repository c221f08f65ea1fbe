import { expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { parse, stringify } from "yaml";
import { evilJson, evilText, nested, prototypesAreClean } from "../../test/support/hostile.js";
import { KEY } from "../../test/support/inventory.js";
import { ConvocateError } from "../../runtime/domain/index.js";
import { KnownHosts } from "./known-hosts.js";
import { parseInventory } from "./read.js";

// Hundreds of runs, on machines that do other things too.
jest.setTimeout(120_000);

const GOOD = `cluster: prod
shell: { name: shell, address: 10.0.0.1, hostKey: ${KEY}, statusPort: 223, user: admin }
agents:
  - { name: a1, address: 10.0.0.2, hostKey: ${KEY}, user: me, port: 22, labels: { rack: r1 }, agentPort: 222,
      cpuPercent: 50, session: { sudo: false, env: { B: "2" }, memoryBytes: 1073741824, pids: 100 } }
defaults: { user: admin, identityFile: keys/id }
service: { user: claude, uid: 1337, gid: 1337, home: /home/claude }
image: { base: "debian:12", version: 1.2.3 }
`;

/** Either it is an inventory with names and paths that can stand anywhere, or every problem has its line. */
function judge(text: string): void {
  try {
    const { cluster, shell, agents, service } = parseInventory(text, "/nowhere/inventory.yaml");
    const PLAIN = /^[a-z0-9][a-z0-9-]*$/;
    for (const name of [cluster, shell.name, ...agents.map((agent) => agent.name)]) expect(name).toMatch(PLAIN);
    expect(service.home).toMatch(/^(\/[\w.-]+)+$/);
    expect(service.home.split("/")).not.toContain("..");
    for (const host of [shell, ...agents]) {
      expect(host.clusterAddress).toMatch(/^[0-9A-Za-z.:_-]+$/);
      expect(host.sshPort >= 1 && host.sshPort <= 65535).toBe(true);
    }
  } catch (error) {
    expect(error).toMatchObject({ code: "BAD_INVENTORY" });
    expect((error as ConvocateError).message).toMatch(/:\d+:\d+: /);
  }
}

/** Every place in the good inventory. */
function places(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [path];
  const keys = Array.isArray(value) ? value.map((_, at) => at) : Object.keys(value);
  const inside = keys.flatMap((key) => places((value as Record<string | number, unknown>)[key], [...path, key]));
  return path.length > 0 ? [path, ...inside] : inside;
}

test("the good inventory is one", () => {
  expect(() => parseInventory(GOOD, "/nowhere/inventory.yaml")).not.toThrow();
});

test("with anything in any place it is an inventory still, or each problem is told with its line", () => {
  const where = fc.constantFrom(...places(parse(GOOD)));
  fc.assert(
    fc.property(where, evilJson(), fc.option(evilText()), (path, value, key) => {
      const document = parse(GOOD) as Record<string | number, unknown>;
      let at = document;
      for (const step of path.slice(0, -1)) at = at[step] as Record<string | number, unknown>;
      at[path.at(-1)!] = value;
      if (key !== null && !Array.isArray(at)) Object.defineProperty(at, key, { value, enumerable: true });
      judge(stringify(document));
    }),
    { numRuns: 200 },
  );
  expect(prototypesAreClean()).toBe(true);
});

test("any text is an inventory or told to be none, with its line", () => {
  fc.assert(fc.property(evilText(), judge));
  judge(nested(5_000));
  judge(`cluster: ${"{a: ".repeat(3000)}1${"}".repeat(3000)}`);
  const bomb = Array.from(
    { length: 12 },
    (_, i) =>
      `a${i}: &a${i} [${Array(10)
        .fill(i ? `*a${i - 1}` : "x")
        .join(",")}]`,
  );
  judge(`${bomb.join("\n")}\ncluster: *a11\n`);
  judge("__proto__: { evil: 1 }\ncluster: x\n");
  judge("agents: &a [*a]\n");
  expect(prototypesAreClean()).toBe(true);
});

test("known_hosts of any content gives keys of its lines, and a pattern of stars costs no time", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(evilText(), evilText(), evilText())), evilText(), (lines, name) => {
      const text = lines.map((words) => words.join(" ")).join("\n");
      for (const key of new KnownHosts(text).keysOf(name, 22)) expect(key.split(" ")).toHaveLength(2);
    }),
  );
  // By regular expression this took minutes.
  const stars = new KnownHosts(`${"*".repeat(30)}b ssh-ed25519 AAAA\n${"*a".repeat(30)} ssh-ed25519 BBBB\n`);
  expect(stars.keysOf("a".repeat(200), 22)).toEqual(["ssh-ed25519 BBBB"]);
});

test("a pattern of known_hosts matches what the same regular expression does", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "."), maxLength: 8 });
  const pattern = fc.string({ unit: fc.constantFrom("a", "b", ".", "*", "?"), minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(pattern, text, (glob, name) => {
      const regex = new RegExp(`^${glob.replaceAll(".", "\\.").replaceAll("*", ".*").replaceAll("?", ".")}$`);
      const found = new KnownHosts(`${glob} ssh-ed25519 AAAA\n`).keysOf(name, 22).length === 1;
      expect(found).toBe(regex.test(name));
    }),
    { numRuns: 1000 },
  );
});
