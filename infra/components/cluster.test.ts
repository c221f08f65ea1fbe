import { beforeAll, describe, expect, test } from "@jest/globals";
import * as pulumi from "@pulumi/pulumi";
import type { AgentSettings } from "../../runtime/domain/index.js";
import type { Inventory, InventoryAgent } from "../inventory/index.js";
import { AT_SHELL } from "../rollout/exclude.js";
import { Cluster } from "./cluster.js";

// The graph that the program declares, with Pulumi's own mocks in the engine's place. It ends at all only without circles.

interface Declared {
  kind: string;
  name: string;
  inputs: Record<string, unknown>;
}

const declared: Declared[] = [];

const outputs: Record<string, (inputs: Record<string, unknown>, name: string) => Record<string, unknown>> = {
  KeyPair: (_, name) => ({ publicKey: `ssh-ed25519 ${name.replaceAll(/[^a-z0-9]/g, "")}` }),
  AgentId: (_, name) => ({ agentId: `id${name.replaceAll(/[^a-z0-9]/g, "")}`.slice(0, 8).padEnd(8, "0") }),
  Token: () => ({ token: "f".repeat(64) }),
  CertificateAuthority: () => ({ certPem: "CA", keyPem: "CA-KEY" }),
  Certificate: () => ({ certPem: "CERT", keyPem: "KEY" }),
  Image: () => ({ imageId: "sha256:1", layers: [] }),
};

const address = (name: string, ip: string): InventoryAgent["host"] => ({
  via: "ssh",
  name,
  address: ip,
  port: 22,
  user: "root",
  hostKeys: ["ssh-ed25519 A"],
});

const agent = (name: string, ip: string, onShellHost = false): InventoryAgent => ({
  name,
  host: address(name, ip),
  clusterAddress: ip,
  sshPort: 22,
  agentPort: 222,
  cpuPercent: 90,
  memoryPercent: 80,
  diskPercent: 70,
  labels: { rack: "r1" },
  egress: ["10.1.0.0/16"],
  session: { env: { A: "b" } },
  onShellHost,
});

const inventory = (agents: InventoryAgent[], statusPort = 223): Inventory => ({
  path: "/inventory.yaml",
  cluster: "test",
  shell: {
    name: "shell",
    host: address("shell", "192.0.2.10"),
    clusterAddress: "192.0.2.10",
    sshPort: 22,
    statusPort,
  },
  agents,
  service: { user: "claude", uid: 1337, gid: 1337, home: "/home/claude" },
  image: {},
  certificates: { generation: 1 },
});

async function declare(agents: InventoryAgent[], statusPort?: number): Promise<Record<string, string>> {
  declared.length = 0;
  await pulumi.runtime.setMocks({
    call: () => ({}),
    newResource: ({ type, name, inputs, custom }) => {
      const kind = type.split(":")[2] ?? "";
      const plain = inputs as Record<string, unknown>;
      if (custom !== false) declared.push({ kind, name, inputs: plain });
      return { id: name, state: { ...plain, ...outputs[kind]?.(plain, name) } };
    },
  });
  const cluster = new Cluster({
    inventory: inventory(agents, statusPort),
    imageSource: "source",
    common: {
      cluster: "test",
      service: inventory([]).service,
      release: "3.0.0",
      nodeVersion: "24.0.0",
      programs: { convocate: { "convocate.mjs": "1" }, "convocate-agent": { "convocate-agent.mjs": "2" } },
    },
  });
  return await new Promise((resolve) => cluster.agents.apply(resolve));
}

/** Inputs of a resource as JSON, secrets unwrapped, to look for text in. */
const textOf = (name: string): string => JSON.stringify(declared.find((one) => one.name === name)?.inputs);
const inputsOf = (name: string): Record<string, unknown> => declared.find((one) => one.name === name)?.inputs ?? {};
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 500));

describe("a shell host and two agents", () => {
  let ids: Record<string, string>;
  beforeAll(async () => {
    ids = await declare([agent("agent-1", "192.0.2.11"), agent("agent-2", "192.0.2.12")]);
    await settled();
  });

  test("have every resource by a name of its own, and an id for each agent", () => {
    expect(Object.keys(ids)).toEqual(["agent-1", "agent-2"]);
    const names = declared.filter(({ kind }) => kind !== "Stack").map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of ["shell/packages", "agent-1/packages", "agent-1/ready", "agent-2/ready", "shell/log-server"])
      expect(names).toContain(name);
  });

  test("have on the shell host, for an agent, exactly what a rollout without the shell host leaves out", () => {
    const there = declared.filter(
      ({ name, inputs }) => name.startsWith("agent-1/") && (inputs["host"] ?? inputs["shell"]) === "shell",
    );
    expect(there.map(({ name }) => name.slice("agent-1/".length)).sort()).toEqual([...AT_SHELL].sort());
  });

  test("know each other's public keys", () => {
    expect(textOf("agent-1/agent-config")).toContain("ssh-ed25519 shellstatushostkey");
    expect(textOf("agent-1/agent-config")).toContain("ssh-ed25519 agent1shelltoagentkey convocate-shell");
    expect(textOf("agent-1/registration")).toContain("ssh-ed25519 agent1agenthostkey");
    expect(textOf("agent-1/status-authorized-key")).toContain(`ssh-ed25519 agent1agenttoshellkey ${ids["agent-1"]}`);
  });

  test("let in the logs of the listed agents only", () => {
    expect(textOf("shell/log-server")).toContain('tls.permittedPeer=[\\"agent-1\\", \\"agent-2\\"]');
  });

  test("open the ports of their role and no others", () => {
    expect(declared.find(({ name }) => name === "shell/firewall")?.inputs.allow).toEqual([
      "22/tcp",
      "223/tcp",
      "514/tcp",
      ...["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.2.11", "192.0.2.12", "192.168.0.0/16"].map(
        (from) => `53 from ${from}`,
      ),
    ]);
    expect(declared.find(({ name }) => name === "agent-1/firewall")?.inputs.allow).toEqual(["22/tcp", "222/tcp"]);
  });

  test("keep sessions from our own doors, and let them ask the shell for names", () => {
    expect(declared.find(({ name }) => name === "agent-1/session-firewall")?.inputs).toEqual({
      host: "agent-1",
      egress: ["10.1.0.0/16"],
      nameServers: ["192.0.2.10"],
      dnsHere: false,
      doors: [222],
      otherDoors: ["192.0.2.10:223", "192.0.2.10:514"],
    });
    expect(textOf("agent-1/agent-config")).toContain('\\"dns\\": [\\n      \\"192.0.2.10\\"\\n    ]');
  });

  test("send settings that the agent's own schema takes", () => {
    const config = declared.find(({ name }) => name === "agent-1/agent-config")?.inputs as {
      files: Record<string, { content: string }>;
    };
    expect(JSON.parse(config.files["/etc/convocate-agent/settings.json"]!.content)).toMatchObject({
      name: "agent-1",
      uid: 1337,
      reserved_ports: [22, 53, 222, 223, 514],
      labels: { rack: "r1" },
      session: { env: { A: "b" } },
    });
  });
});

test("ports that the inventory gave the host's own services are reserved, the shell's on its machine alone", async () => {
  const moved = { agentPort: 2222, sshPort: 2022 };
  const agents = [agent("agent-1", "192.0.2.11"), agent("both", "192.0.2.10", true)];
  await declare(
    agents.map((one) => ({ ...one, ...moved })),
    2230,
  );
  await settled();
  const reserved = ["agent-1", "both"].map((name) => {
    const config = inputsOf(`${name}/agent-config`) as { files: Record<string, { content: string }> };
    return (JSON.parse(config.files["/etc/convocate-agent/settings.json"]!.content) as AgentSettings).reserved_ports;
  });
  expect(reserved).toEqual([
    [22, 53, 222, 223, 514, 2222, 2022],
    [22, 53, 222, 223, 514, 2222, 2022, 2230],
  ]);
});

test("an agent that is held at another release is told so where something of ours would be brought, and nowhere else", async () => {
  const agents = [agent("agent-1", "192.0.2.11"), agent("agent-2", "192.0.2.12"), agent("both", "192.0.2.10", true)];
  const [, second, own] = agents;
  await declare([agents[0]!, { ...second!, release: "2.9.1" }, { ...own!, release: "3.0.0" }]);
  await settled();
  const held = declared.filter(({ inputs }) => inputs["held"] !== undefined).map(({ name }) => name);
  expect(held.sort()).toEqual(["agent-2/convocate-agent", "agent-2/image", "agent-2/runtime"]);
  expect(inputsOf("agent-2/runtime")).toMatchObject({ held: { at: "2.9.1", checkout: "3.0.0" } });
});

test("the machine of the shell host goes on to our Node though its agent is held: both versions stay there", async () => {
  await declare([{ ...agent("both", "192.0.2.10", true), release: "2.9.1" }]);
  await settled();
  expect(inputsOf("shell/runtime")["held"]).toBeUndefined();
  expect(inputsOf("both/convocate-agent")["held"]).toBeDefined();
});

test("a machine that is shell and agent has packages, user, runtime and firewall once", async () => {
  await declare([agent("both", "192.0.2.10", true)]);
  await settled();
  for (const kind of ["Packages", "ServiceUser", "Runtime", "Firewall"])
    expect(declared.filter((one) => one.kind === kind).map(({ name }) => name.split("/")[0])).toEqual(["shell"]);
  expect(declared.find(({ kind }) => kind === "Firewall")?.inputs.allow).toEqual([
    "22/tcp",
    "222/tcp",
    "223/tcp",
    "514/tcp",
    ...["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"].map((from) => `53 from ${from}`),
  ]);
  expect(textOf("shell/packages")).toContain("docker.io");
  expect(textOf("shell/packages")).toContain("dnsmasq");
});

test("a shell host alone lets nobody's logs in", async () => {
  expect(await declare([])).toEqual({});
  await settled();
  expect(textOf("shell/log-server")).toContain("nobody.invalid");
});
