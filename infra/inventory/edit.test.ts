import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
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
