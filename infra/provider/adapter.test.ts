import { expect, test } from "@jest/globals";
import type { Connection, ConnectionPool, HostAddress } from "../connection/index.js";
import { agentReady } from "../resources/agent-ready/lifecycle.js";
import { Adapter } from "./adapter.js";
import { HostBook } from "./hosts.js";
import type { Decoded, Plain } from "./values.js";

const shell: HostAddress = {
  via: "ssh",
  name: "shell",
  address: "192.0.2.1",
  port: 22,
  user: "root",
  hostKeys: ["ssh-ed25519 A"],
};
const decoded = (plain: object): Decoded => ({ plain: plain as Plain, secrets: new Set(), unknowns: [] });
const urnOf = (name: string): string => `urn:pulumi:dev::convocate::convocate:index:AgentReady::${name}/ready`;
const IDS = ["aaaaaaaa", "bbbbbbbb", "cccccccc"];

test("the shell is asked once for all agents' readiness in one refresh, and anew after a rollout has waited for one", async () => {
  const commands: string[][] = [];
  const agents = IDS.map((id) => ({ id, name: `agent-${id}`, release: "3.0.0", connection: { state: "connected" } }));
  const connection: Pick<Connection, "host" | "run"> = {
    host: shell,
    run: async (argv) => {
      commands.push([...argv]);
      return Promise.resolve({ exitCode: 0, stdout: JSON.stringify({ agents }), stderr: "" });
    },
  };
  const pool: ConnectionPool = {
    connect: async () => Promise.resolve(connection as Connection),
    async [Symbol.asyncDispose]() {},
  };
  const ignore = (): void => undefined;
  const adapter = new Adapter([agentReady], new HostBook(pool, () => [shell]), ignore, ignore);
  const inputs = (agentId: string): Decoded =>
    decoded({
      ...{ shell: "shell", user: "claude", agentId, agentName: `agent-${agentId}` },
      ...{ release: "3.0.0", restartedFor: "x" },
    });
  const readAll = async (): Promise<void> => {
    const seen = await Promise.all(IDS.map((id) => adapter.read(urnOf(id), inputs(id), inputs(id))));
    for (const one of seen) expect(one?.values).toMatchObject({ reachable: true, runningRelease: "3.0.0" });
  };

  await readAll();
  await readAll();
  expect(commands).toHaveLength(1);
  expect(commands[0]?.slice(-2)).toEqual(["agents", "--json"]);

  await adapter.create(urnOf("aaaaaaaa"), inputs("aaaaaaaa"), false);
  expect(commands).toHaveLength(2);
  await readAll();
  expect(commands).toHaveLength(3);
});
