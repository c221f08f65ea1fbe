import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { KEY, OTHER_KEY, testFolder } from "../../test/support/inventory.js";
import { InventoryEdit } from "./edit.js";
import { readInventory } from "./read.js";

const { file } = testFolder();

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
  edit.put("agent", { name: "a2", address: "10.0.0.3", user: "admin", port: 2222, hostKey: OTHER_KEY });
  expect(edit.save()).toBe(true);
  const after = readFileSync(path, "utf8");
  for (const comment of ["# our hosts", "# the only one", "# in the cellar", "# the fast one"])
    expect(after).toContain(comment);
  const inventory = readInventory(path);
  expect(inventory.agents.map((agent) => agent.host)).toMatchObject([
    { name: "a1", hostKeys: [KEY] },
    { name: "a2", address: "10.0.0.3", user: "admin", port: 2222, hostKeys: [OTHER_KEY] },
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

test("the shell host becomes an agent with all that it takes to reach it, and nothing else of its own", () => {
  const path = file(
    "both.yaml",
    `cluster: x
shell:
  name: s
  address: 10.0.0.1
  clusterAddress: 10.9.0.1
  hostKey: ${KEY} # compared
  user: admin
  port: 2222
  identityFile: key
  sudoPasswordFile: sudo
  jump: { address: 10.0.0.9, user: me, hostKey: ${OTHER_KEY} }
  statusPort: 1223
  hooks: [{ name: once, run: "true" }]
`,
  );
  const edit = InventoryEdit.open(path);
  edit.putShellAsAgent("a1");
  edit.putShellAsAgent("a1");
  edit.save();
  const { shell, agents } = readInventory(path);
  expect(agents).toHaveLength(1);
  expect(agents[0]).toMatchObject({ clusterAddress: "10.9.0.1", sshPort: 2222, onShellHost: true });
  expect(agents[0]?.host).toEqual({ ...shell.host, name: "a1" });
  expect(agents[0]?.hooks).toBeUndefined();
});

describe("on the example, whose every setting is a comment,", () => {
  const example = readFileSync("infra/stacks/example.yaml", "utf8");
  const agent2 = "  - name: agent-2\n    address: 192.0.2.12\n";
  const edited = (change: (edit: InventoryEdit) => void): string => {
    const edit = new InventoryEdit(example, "example.yaml");
    change(edit);
    return edit.toString();
  };

  test("an agent is added behind the last one, and taken out again, with no other line changed", () => {
    const behind = "    # cpuPercent: 75\n";
    const added = edited((edit) => edit.put("agent", { name: "agent-2", address: "192.0.2.12" }));
    expect(added).toBe(example.replace(behind, behind + agent2));
    const edit = new InventoryEdit(added, "example.yaml");
    edit.remove("agent-2");
    expect(edit.toString()).toBe(example);
  });

  test("the last agent goes, and what is behind it stays", () => {
    const tail = example.slice(example.indexOf("\n# The user that"));
    const text = edited((edit) => edit.remove("agent-1"));
    expect(text.endsWith(`\nagents: []\n${tail}`)).toBe(true);
  });

  test("a host's key is set in its line, and another setting among its settings", () => {
    const text = edited((edit) => {
      edit.put("agent", { name: "agent-1", address: "192.0.2.99", hostKey: KEY, port: 2222 });
      edit.put("shell", { name: "shell", address: "192.0.2.10", user: "admin" });
    });
    const comments = (from: string): string[] => from.split("\n").filter((line) => line.trimStart().startsWith("#"));
    expect(comments(text)).toEqual(comments(example));
    expect(text).toContain(`    hostKey: ${KEY}\n    port: 2222\n    # tcp port of convocate-agent.\n`);
    expect(text).toMatch(/^  address: 192.0.2.10\n(.*\n){3}  hostKey: .*\n  user: admin\n  # tcp port where/m);
  });

  test("another authority is asked for at the end", () => {
    expect(edited((edit) => edit.nextAuthority())).toBe(`${example}certificates:\n  generation: 2\n`);
  });
});

test("an agent that goes takes its own comments, and no others", () => {
  const text = `cluster: x # ours
agents: # all of them
  # not ours alone

  # the fast one
  - name: a1 # goes
    address: 10.0.0.2
    # its port

  # the slow one
  - name: a2
    address: 10.0.0.3
# the end
`;
  const without = (name: string): string => {
    const edit = new InventoryEdit(text, "x.yaml");
    edit.remove(name);
    return edit.toString();
  };
  const [first, second] = [/ {2}# the fast one\n(.*\n){4}/, /\n {2}# the slow one\n(.*\n){2}/];
  expect(without("a1")).toBe(text.replace(first, ""));
  expect(without("a2")).toBe(text.replace(second, "\n"));
});

test("what is not written in blocks is changed by the YAML library", () => {
  const edit = new InventoryEdit(
    "cluster: x\nshell: { name: s, address: a }\nagents: [{ name: a1, address: b }]\n",
    "x.yaml",
  );
  edit.put("shell", { name: "s", address: "c", port: 2222 });
  edit.put("agent", { name: "a2", address: "d" });
  edit.remove("a1");
  expect(edit.all("shell")).toMatchObject([{ address: "c", port: 2222 }]);
  expect(edit.all("agent")).toMatchObject([{ name: "a2", address: "d" }]);
});
