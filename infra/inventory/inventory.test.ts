import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import { ConvocateError } from "../../runtime/domain/index.js";
import { InventoryEdit } from "./edit.js";
import { KnownHosts } from "./known-hosts.js";
import { parseInventory, readInventory } from "./read.js";

const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
const KEY2 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBdX2kVCc7YkLTQ+Tvqy3v5Sm2y9DHSp8WkqmKmGnBTE";
const directory = mkdtempSync(join(tmpdir(), "convocate-inventory-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};
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
    file("known", `10.0.0.2 ${KEY2}\n`);
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
      host: { user: "me", hostKeys: [KEY2] },
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

  test("a jump host is logged in to as the inventory says, and a host may do without the one of the defaults", () => {
    const inventory = parseInventory(
      `cluster: c
defaults: { user: admin, identityFile: /k, jump: { address: 192.0.2.1, hostKey: ${KEY2} } }
shell: { name: s, address: 10.0.0.1, hostKey: ${KEY} }
agents: [{ name: a, address: 10.0.0.2, hostKey: ${KEY}, jump: none }]
`,
      join(directory, "jump.yaml"),
    );
    expect(inventory.shell.host).toMatchObject({
      jump: { address: "192.0.2.1", port: 22, user: "admin", hostKeys: [KEY2], identityFile: "/k" },
    });
    expect(inventory.agents[0]?.host).not.toHaveProperty("jump");
  });

  describe("addresses that are names in the ssh configuration", () => {
    const sshConfig = (): string =>
      file(
        "ssh_config",
        `Host worker\n  HostName 10.0.0.7\n  User me\n  Port 2222\n  IdentityFile ~/.ssh/work\n  ProxyJump you@bastion:2200\n` +
          `Host two-jumps\n  ProxyJump a,b\nHost by-command\n  ProxyCommand nc %h %p\n`,
      );
    const parsed = (rest: string): ReturnType<typeof parseInventory> =>
      parseInventory(
        `cluster: c\nsshConfig: ${sshConfig()}\nknownHosts: ${file("kh", `[bastion]:2200 ${KEY2}\n[worker]:2222,worker,10.0.0.8 ${KEY}\n`)}\n${rest}`,
        join(directory, "ssh.yaml"),
      );

    test("are what ssh makes of them", () => {
      const { host, clusterAddress } = parsed("shell: { name: s, address: worker }\n").shell;
      expect(clusterAddress).toBe("10.0.0.7");
      expect(host).toEqual({
        via: "ssh",
        name: "s",
        address: "10.0.0.7",
        port: 2222,
        user: "me",
        hostKeys: [KEY],
        identityFile: join(homedir(), ".ssh/work"),
        jump: { address: "bastion", port: 2200, user: "you", hostKeys: [KEY2] },
      });
    });

    test("and the inventory's own words count more", () => {
      const { host } = parsed(
        "defaults: { user: admin }\nshell: { name: s, address: worker, port: 22, jump: none }\n",
      ).shell;
      expect(host).toMatchObject({ address: "10.0.0.7", port: 22, user: "admin" });
      expect(host).not.toHaveProperty("jump");
    });

    test("what cannot be done of them is told with the line", () => {
      const agent = (name: string): string => `agents: [{ name: a, address: ${name}, hostKey: ${KEY} }]\n`;
      const problem = (name: string) => () => parsed(`shell: { name: s, address: 10.0.0.8 }\n${agent(name)}`);
      expect(problem("two-jumps")).toThrow(/:5:30: agents\[0\] \(a\) has ProxyJump a,b in the ssh configuration/);
      expect(problem("by-command")).toThrow(/has a ProxyCommand in the ssh configuration, which is not run here/);
    });
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
    expect(() => readInventory("/nowhere/x.yaml")).toThrow("no inventory at /nowhere/x.yaml: write one");
  });
});

describe("known hosts", () => {
  test("finds what ssh-keygen finds: plain, hashed, with a port, by pattern; and leaves out what is revoked", () => {
    const path = file(
      "known_hosts",
      `plain,10.0.0.9 ${KEY}\n[porty]:2222 ${KEY2}\n*.lab,!not.lab ${KEY}\n@cert-authority *.lab ${KEY2}\n`,
    );
    execFileSync("ssh-keygen", ["-q", "-H", "-f", path], { stdio: "ignore" });
    const hashed = readFileSync(path, "utf8");
    expect(hashed).toContain("|1|");
    const known = new KnownHosts(`${hashed}\n@revoked plain ${KEY}\nplain ${KEY2}\n`);
    expect(known.keysOf("10.0.0.9", 22)).toEqual([KEY]);
    expect(known.keysOf("porty", 2222)).toEqual([KEY2]);
    expect(known.keysOf("porty", 22)).toEqual([]);
    expect(known.keysOf("a.lab", 22)).toEqual([KEY]);
    expect(known.keysOf("not.lab", 22)).toEqual([]);
    expect(known.keysOf("plain", 22)).toEqual([KEY2]);
  });
});

describe("editing", () => {
  const text = `# our hosts
cluster: prod # the only one

shell:
  name: shell
  address: 10.0.0.1 # in the cellar
agents:
  # the fast one
  - name: a1
    address: 10.0.0.2
`;

  test("pins a key and adds an agent, and keeps every comment", () => {
    const path = file("edit.yaml", text);
    const edit = InventoryEdit.open(path);
    expect(edit.find("agent", "10.0.0.2")).toEqual({ role: "agent", name: "a1", address: "10.0.0.2" });
    edit.put("shell", { name: "shell", address: "10.0.0.1", hostKey: KEY });
    edit.put("agent", { name: "a1", address: "10.0.0.2", hostKey: KEY });
    edit.put("agent", { name: "a2", address: "10.0.0.3", user: "admin", port: 2222, hostKey: KEY2 });
    expect(edit.save()).toBe(true);
    const after = readFileSync(path, "utf8");
    for (const comment of ["# our hosts", "# the only one", "# in the cellar", "# the fast one"])
      expect(after).toContain(comment);
    const inventory = readInventory(path);
    expect(inventory.agents.map((agent) => agent.host)).toMatchObject([
      { name: "a1", hostKeys: [KEY] },
      { name: "a2", address: "10.0.0.3", user: "admin", port: 2222, hostKeys: [KEY2] },
    ]);
    const again = InventoryEdit.open(path);
    again.put("agent", { name: "a2", address: "10.0.0.3", user: "admin" });
    expect(again.save()).toBe(false);
    expect(readFileSync(path, "utf8")).toBe(after);
  });

  test("starts a list of agents where there is none", () => {
    const path = file(
      "first.yaml",
      `cluster: x\nshell: { name: s, address: 10.0.0.1, hostKey: ${KEY} }\nagents: [] # none yet\n`,
    );
    const edit = InventoryEdit.open(path);
    edit.put("agent", { name: "a1", address: "10.0.0.2", hostKey: KEY });
    edit.save();
    expect(readInventory(path).agents).toHaveLength(1);
    expect(readFileSync(path, "utf8")).toContain("# none yet");
  });

  test("takes an agent out and leaves the others, with their comments", () => {
    const path = file(
      "leaving.yaml",
      `cluster: x # ours\nshell: { name: s, address: 10.0.0.1, hostKey: ${KEY} }\nagents:\n` +
        `  - { name: a1, address: 10.0.0.2, hostKey: ${KEY} } # goes\n  - { name: a2, address: 10.0.0.3, hostKey: ${KEY} } # stays\n`,
    );
    const edit = InventoryEdit.open(path);
    edit.remove("a1");
    edit.remove("nobody");
    expect(edit.save()).toBe(true);
    expect(readInventory(path).agents.map(({ name }) => name)).toEqual(["a2"]);
    const text = readFileSync(path, "utf8");
    for (const comment of ["# ours", "# stays"]) expect(text).toContain(comment);
  });
});
