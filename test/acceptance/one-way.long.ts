import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { TmuxTerminal } from "../support/tmux.js";

/** SPEC 5.3's 90 s, the seconds between two looks, and a busy machine. */
const WITHIN = { timeoutMs: 150_000, everyMs: 2000 };

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
}, 1_200_000);
afterAll(async () => {
  for (const host of ["shell", "agent-1"]) await open(host);
  await cluster.close();
}, 120_000);

/** Drops what comes in by this rule, without a word, until `open`. */
const close = async (host: string, ...rule: string[]): Promise<void> => {
  await cluster.lab.sh(
    host,
    `nft add table inet oneway; nft add chain inet oneway in '{ type filter hook input priority -300; }'
     nft add rule inet oneway in ${rule.join(" ")} drop`,
  );
};
const open = async (host: string): Promise<void> =>
  void (await cluster.lab.exec(host, ["nft", "delete", "table", "inet", "oneway"]));

const stateOf = async (agent: string): Promise<string> => {
  const { stdout } = await cluster.convocate(["agents"]);
  const line = stdout.split("\n").find((each) => each.startsWith(`${agent} `)) ?? "";
  return /(up|down)(, (silent|hears nothing)|, but heard)?/.exec(line)?.[0] ?? line;
};

test("an agent that hears nothing and one that is not heard are told apart after 90 s, in `agents` and in the TUI, and are well again after", async () => {
  await using tui = await TmuxTerminal.open([...cluster.shellTty(), "/usr/local/bin/convocate"]);
  await tui.see("agents 2/2", 60_000);
  await close("agent-1", "tcp", "dport", "222");
  // Whoever was connected is not told, so the agent would first have to miss them.
  await cluster.lab.sh("agent-1", "systemctl restart convocate-agent");
  await close("shell", "ip", "saddr", cluster.lab.host("agent-2").address, "tcp", "dport", "223");
  await eventually(
    "agent-1 to say it hears nothing",
    async () => (await stateOf("agent-1")) === "down, hears nothing",
    {
      ...WITHIN,
    },
  );
  await tui.see(/◑ agent-1 +deaf/, 30_000);
  await eventually("agent-2 to be silent", async () => (await stateOf("agent-2")) === "up, silent", WITHIN);
  await tui.see(/◐ agent-2 +silent/, 30_000);
  await tui.see("has heard nothing from this host");
  for (const host of ["agent-1", "shell"]) await open(host);
  await eventually("both to be well", async () => (await stateOf("agent-1")) + (await stateOf("agent-2")) === "upup", {
    ...WITHIN,
  });
  await tui.see("agents 2/2", 60_000);
  const { stdout } = await cluster.convocate(["events", "--since", "10m", "--json"]);
  const types = stdout.split("\n").filter((line) => line.includes("agent.peer-"));
  expect(types.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual([
    "agent.peer-lost",
    "agent.peer-back",
  ]);
}, 600_000);
