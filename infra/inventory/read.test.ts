import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { KEY, OTHER_KEY, testFolder } from "../../test/support/inventory.js";
import { ConvocateError } from "../../runtime/domain/index.js";
import { hostsOf, parseInventory, readInventory } from "./read.js";

const { path: directory, file } = testFolder();

/** The problems of a text, as `line:column: message`, without the first line that counts them. */
const problemsOf = (text: string): string[] => {
  try {
    parseInventory(text, join(directory, "bad.yaml"));
  } catch (error) {
    expect(error).toBeInstanceOf(ConvocateError);
    expect(error).toMatchObject({ code: "BAD_INVENTORY", exitCode: 2 });
    const [count, ...lines] = (error as Error).message.split("\n");
    expect(count).toContain(lines.length === 1 ? "1 problem" : `${lines.length} problems`);
    return lines.map((line) => line.replace(`${join(directory, "bad.yaml")}:`, ""));
  }
  return [];
};

describe("a good inventory", () => {
  test("comes with every default applied, paths absolute, and keys without their comments", () => {
    file("known", `10.0.0.2 ${OTHER_KEY}\n`);
    const inventory = readInventory(
      file(
        "good.yaml",
        `cluster: prod
knownHosts: known
shell: { name: shell, address: 10.0.0.1, hostKey: ${KEY} somebody@somewhere }
agents:
  - { name: a1, address: 10.0.0.2, user: me, session: { env: { B: "2" } } }
  - { name: a2, address: 10.0.0.1, cpuPercent: 50, egress: ["192.168.1.20:5432/tcp"], hostKey: ${KEY}, identityFile: ~/.ssh/id }
defaults: { user: admin, identityFile: keys/id, session: { sudo: false, env: { A: "1" } }, labels: { rack: r1 }, egress: [10.9.0.0/16] }
`,
      ),
    );
    expect(inventory.shell).toEqual({
      name: "shell",
      host: {
        via: "ssh",
        name: "shell",
        address: "10.0.0.1",
        port: 22,
        user: "admin",
        hostKeys: [KEY],
        identityFile: join(directory, "keys/id"),
      },
      clusterAddress: "10.0.0.1",
      sshPort: 22,
      statusPort: 223,
    });
    const [a1, a2] = inventory.agents;
    expect(a1).toMatchObject({
      host: { user: "me", hostKeys: [OTHER_KEY] },
      agentPort: 222,
      cpuPercent: 90,
      onShellHost: false,
    });
    expect(a1?.session).toEqual({ sudo: false, env: { A: "1", B: "2" } });
    expect(a2).toMatchObject({ host: { identityFile: join(homedir(), ".ssh/id") }, cpuPercent: 50, onShellHost: true });
    expect(a2?.labels).toEqual({ rack: "r1" });
    expect(a1?.egress).toEqual(["10.9.0.0/16"]);
    expect(a2?.egress).toEqual(["10.9.0.0/16", "192.168.1.20:5432/tcp"]);
    expect(inventory.service).toEqual({ user: "claude", uid: 1337, gid: 1337, home: "/home/claude" });
  });

  test("hooks of the defaults come before a host's own", () => {
    const inventory = parseInventory(
      `cluster: c
defaults: { hooks: [{ name: all, run: "echo all" }] }
shell: { name: s, address: 10.0.0.1, hostKey: ${KEY} }
agents:
  - name: a
    address: 10.0.0.2
    hostKey: ${KEY}
    hooks: [{ name: mine, run: "join $TOKEN", secrets: { TOKEN: token } }]
`,
      join(directory, "hooks.yaml"),
    );
    expect(inventory.shell.hooks).toEqual([{ name: "all", run: "echo all", secrets: {} }]);
    expect(inventory.agents[0]?.hooks).toEqual([
      { name: "all", run: "echo all", secrets: {} },
      { name: "mine", run: "join $TOKEN", secrets: { TOKEN: "token" } },
    ]);
  });

  test("local needs no key, and alone no address", () => {
    const inventory = parseInventory(
      "cluster: one\nshell: { name: me, address: local }\nagents: [{ name: me, address: local }]\n",
      join(directory, "local.yaml"),
    );
    expect(inventory.shell).toMatchObject({ host: { via: "local", name: "me" }, clusterAddress: "127.0.0.1" });
    expect(inventory.agents[0]?.onShellHost).toBe(true);
  });
});

describe("a bad inventory", () => {
  test("names each egress that is no range of addresses", () => {
    const bad = ["10.0.0.0/33", "300.0.0.1", "10.0.0.1:0", "10.0.0.1:9-8", "10.0.0.1:70000", "fd00::/8", "x; drop"];
    for (const egress of bad)
      expect(
        problemsOf(
          `cluster: c\nshell: { name: s, address: 10.0.0.1, hostKey: ${KEY} }\ndefaults: { egress: ["${egress}"] }\n`,
        ),
      ).toEqual([expect.stringMatching(/^3:22: defaults\.egress\[0\] .* must be as 192\.168\.1\.0\/24/)]);
  });

  test("has a release told that is none", () => {
    const text = `cluster: c
shell: { name: s, address: 10.0.0.1, hostKey: ${KEY} }
agents:
  - { name: a, address: 10.0.0.2, hostKey: ${KEY}, release: 3.1 }
  - { name: b, address: 10.0.0.3, hostKey: ${KEY}, release: "the old one" }
`;
    expect(problemsOf(text)).toEqual([
      expect.stringMatching(/^4:\d+: agents\[0\]\.release is 3\.1: must be a text \(put it in quotes\)$/),
      expect.stringMatching(/^5:\d+: agents\[1\]\.release is "the old one": must be a release, as 3\.0\.1$/),
    ]);
  });

  test("has labels told that could not be asked for with --label", () => {
    const hosts = `cluster: c\nshell: { name: s, address: 10.0.0.1, hostKey: ${KEY} }\n`;
    const found = problemsOf(`${hosts}defaults: { labels: { Room: cellar, room: "in the cellar", gpu: true } }\n`);
    expect(found).toEqual([
      "3:23: defaults.labels.Room: the key must be a label's key: 1 to 63 of a-z, 0-9, . _ / and -",
      '3:43: defaults.labels.room is "in the cellar": must be a label\'s value: 1 to 63 of letters, digits, . _ and -',
      "3:65: defaults.labels.gpu is true: must be a text (put it in quotes)",
    ]);
  });

  test("has every problem told, each with its line and what to do", () => {
    const problems = problemsOf(`cluster: prod
shell:
  name: shell
  adress: 10.0.0.1
agents:
  - name: a1
    address: 10.0.0.2
    port: 70000
    hostKey: ${KEY}
  - name: a1
    address: 300.1.2.3
  - name: a3
    address: 10.0.0.2
    port: 70000
    cpuPercent: 0
    session: { sudo: "yes", bogus: 1 }
`);
    expect(problems).toEqual([
      "3:3: shell.address is missing: add it",
      "4:3: unknown key shell.adress: did you mean address?",
      "8:11: agents[0].port is 70000: must be a port, 1 to 65535",
      "10:11: agents[1].name is a1, the name of agents[0] too: give it another",
      '11:14: agents[1].address is "300.1.2.3": must be an IP address, a host name, or local',
      "13:14: agents[2] is at 10.0.0.2:70000, where agents[0] is too: one machine can be one agent only",
      "14:11: agents[2].port is 70000: must be a port, 1 to 65535",
      "15:17: agents[2].cpuPercent is 0: must be a percentage, 1 to 100",
      '16:22: agents[2].session.sudo is "yes": must be true or false',
      "16:29: unknown key agents[2].session.bogus: remove it; known here: sudo, env, memoryBytes, pids, cpus, diskBytes",
    ]);
  });

  test("hooks that cannot be are told with their lines", () => {
    const text = `cluster: c
shell:
  name: s
  address: 10.0.0.1
  hostKey: ${KEY}
  hooks:
    - { name: one, run: "" }
    - { name: One, run: "true" }
    - { name: three, command: "true" }
    - { name: one, run: "true", secrets: { "A B": x, C: "convocate:y z" } }
`;
    expect(problemsOf(text).map((line) => line.replace(/ must be .*/, ""))).toEqual([
      expect.stringContaining('7:25: shell.hooks[0].run is "":'),
      expect.stringContaining("8:15: shell.hooks[1].name"),
      "9:7: shell.hooks[2].run is missing: add it",
      expect.stringContaining("9:22: unknown key shell.hooks[2].command"),
      "10:15: shell.hooks[3].name is one, the name of shell.hooks[0] too: give it another",
      expect.stringContaining("10:"),
      expect.stringContaining("10:"),
    ]);
  });

  test("broken YAML and keys given twice are told with their lines", () => {
    expect(problemsOf("cluster: x\nshell: {name: a\nagents: []\n").join("\n")).toMatch(/^[23]:\d+: /m);
    expect(problemsOf("cluster: x\ncluster: y\n")).toEqual(["2:1: Map keys must be unique: mend the YAML here"]);
  });

  test("an empty file, a list and a text say what is missing", () => {
    for (const text of ["", "- a\n", "just text\n"])
      expect(problemsOf(text)).toEqual([expect.stringContaining("must be a map")]);
  });

  test("a host without a pinned key is told with the command that pins it", () => {
    const text = `cluster: x\nknownHosts: nowhere\nshell: { name: s, address: 10.0.0.1 }\nagents: [{ name: a, address: 10.0.0.2 }]\n`;
    const [shell, agent] = problemsOf(text);
    expect(shell).toContain("3:28: shell (s) has no pinned host key, and the knownHosts file");
    expect(agent).toContain("convocate-host init-agent --host a");
  });

  test("two agents behind one address need ports of their own", () => {
    const agent = (name: string, port: number): string =>
      `  - { name: ${name}, address: h.example, port: ${port}, hostKey: ${KEY} }`;
    const text = `cluster: x\nshell: { name: s, address: 10.0.0.1, hostKey: ${KEY} }\nagents:\n${agent("a", 22)}\n${agent("b", 23)}\n`;
    expect(problemsOf(text)).toEqual([expect.stringContaining("5:25: agents[1] would listen on h.example:222")]);
  });

  test("a local host among others must say where they reach it", () => {
    const text = `cluster: x\nshell: { name: s, address: local }\nagents: [{ name: a, address: 10.0.0.2, hostKey: ${KEY} }]\n`;
    expect(problemsOf(text)).toEqual([expect.stringContaining("2:28: shell is local")]);
  });

  test("an inventory that is not there names the file and what to do", () => {
    expect(() => readInventory("/nowhere/x.yaml")).toThrow(
      "no inventory at /nowhere/x.yaml: `convocate-host init-shell --host HOST` begins one, and --stack names another; there is none beside it",
    );
    const folder = join(import.meta.dirname, "../stacks");
    expect(() => readInventory(join(folder, "nope.yaml"))).toThrow(/; there are (\w+, )*dev\b/);
  });
});

test("a shell host that is an agent of the same name is one host", () => {
  const host = `{ name: s, address: 10.0.0.1, hostKey: ${KEY} }`;
  const text = `cluster: x\nshell: ${host}\nagents:\n  - ${host}\n  - { name: a, address: 10.0.0.2, hostKey: ${KEY} }\n`;
  expect(hostsOf(parseInventory(text, join(directory, "twice.yaml"))).map(({ name }) => name)).toEqual(["s", "a"]);
});
