import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { acceptanceCluster, ROOT, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { listing } from "../support/machine.js";
import { TmuxTerminal } from "../support/tmux.js";

// A cluster of three agents over its life: updates with sessions under way, a gate that fails, an agent that goes.

const AGENTS = ["agent-1", "agent-2", "agent-3"];
const PROGRAM = join(ROOT, "dist/programs/convocate-agent.mjs");
let cluster: TestCluster;
let program: string;
/** What agent-3 was before anything was rolled out. */
let before: string[];

beforeAll(async () => {
  program = await readFile(PROGRAM, "utf8");
  cluster = await acceptanceCluster({ name: "t-years", agents: 3, rollOut: false });
  before = await listing(cluster.lab, "agent-3");
  await cluster.up();
}, 1_200_000);
afterAll(async () => {
  await writeFile(PROGRAM, program);
  await cluster.takeDown();
}, 120_000);

const pid = async (agent: string, id: string): Promise<string> =>
  (await cluster.lab.sh(agent, `docker inspect -f '{{.State.Pid}}' convocate-session-${id}`)).trim();
const programOn = async (agent: string): Promise<string> =>
  (
    await cluster.lab.sh(agent, "sha256sum /usr/local/lib/convocate/releases/*/convocate-agent.mjs | cut -c 1-16")
  ).trim();

test("update --all over three agents with an attach open on each: no session stops, every attach comes back", async () => {
  const sessions = await Promise.all(
    AGENTS.map(async (agent) => {
      const { id } = await cluster.json<{ id: string }>(["new", `on-${agent}`, "--agent", agent]);
      return { agent, id, name: `on-${agent}` };
    }),
  );
  await using stack = new AsyncDisposableStack();
  const terminals: TmuxTerminal[] = [];
  for (const { name } of sessions) {
    const argv = [...cluster.shellTty(), "/usr/local/bin/convocate", "attach", name];
    const terminal = stack.use(await TmuxTerminal.open(argv));
    await terminal.see(/Claude Code|\? for shortcuts/);
    terminals.push(terminal);
  }
  const pids = await Promise.all(sessions.map(({ agent, id }) => pid(agent, id)));

  await writeFile(PROGRAM, `${program}\n// a change of nothing\n`);
  const { exitCode, stdout, stderr } = await cluster.convocateHost(["update", "--all"], { timeoutMs: 600_000 });
  expect({ exitCode, stderr: exitCode === 0 ? "" : stderr }).toEqual({ exitCode: 0, stderr: "" });
  const order = stdout.split("\n").flatMap((line) => /^(\S+): updated/.exec(line)?.[1] ?? []);
  expect(order).toEqual(["shell", ...AGENTS]);
  expect(await Promise.all(sessions.map(({ agent, id }) => pid(agent, id)))).toEqual(pids);
  for (const [i, terminal] of terminals.entries()) {
    await terminal.type(`typed after update ${i}`);
    await terminal.see(`typed after update ${i}`);
  }
}, 900_000);

test("the second of three failing its gate leaves the third untouched; run again it completes", async () => {
  const old = await programOn("agent-3");
  await writeFile(PROGRAM, `${program}\n// another change of nothing\n`);
  await cluster.lab.disconnect("agent-2", { peer: "shell" });
  const argv = ["update", "--host", ...AGENTS];
  const stopped = await cluster.convocateHost(argv, { timeoutMs: 600_000 });
  await cluster.lab.connect("agent-2", { peer: "shell" });
  expect(stopped.exitCode).not.toBe(0);
  expect(stopped.stdout).toMatch(/^agent-1: updated/m);
  for (const words of [/agent-2 does not answer the shell host/, /not touched: agent-3/, /run the same again/])
    expect(stopped.stderr).toMatch(words);
  expect(await programOn("agent-3")).toBe(old);

  const again = await cluster.convocateHost(argv, { timeoutMs: 600_000 });
  expect({ exitCode: again.exitCode, stderr: again.exitCode === 0 ? "" : again.stderr }).toEqual({
    exitCode: 0,
    stderr: "",
  });
  expect(await programOn("agent-3")).not.toBe(old);
}, 900_000);

test("an agent that is removed and purged is as it was before, and the others go on", async () => {
  const refused = await cluster.convocateHost(["remove", "--host", "agent-3", "--purge", "--yes"]);
  expect(refused).toMatchObject({ exitCode: 4, stderr: expect.stringContaining("on-agent-3") });
  const removed = await cluster.convocateHost(["remove", "--host", "agent-3", "--purge", "--yes", "--force"]);
  expect({ exitCode: removed.exitCode, stderr: removed.exitCode === 0 ? "" : removed.stderr }).toEqual({
    exitCode: 0,
    stderr: "",
  });
  expect(await listing(cluster.lab, "agent-3")).toEqual(before);
  expect(await readFile(cluster.inventory, "utf8")).not.toContain("agent-3");
  await eventually("the shell to know two agents", async () => {
    const { agents } = await cluster.json<{ agents: { name: string }[] }>(["agents"]);
    return agents.map(({ name }) => name).join() === "agent-1,agent-2";
  });
  expect(await cluster.convocateHost(["plan"])).toMatchObject({ exitCode: 0 });
}, 600_000);
