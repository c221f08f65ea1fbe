import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parse, stringify } from "yaml";
import { acceptanceCluster, command, ROOT, type CommandResult, type TestCluster } from "../support/cluster.js";

// The operator's hooks, through the engine to a real sshd and sudo; only the plugin is a stand-in (test/support/command-plugin).

const SECRET = "hook-s3cret-0123456789";
let cluster: TestCluster;
let plugin: string;
let inventory: string;
beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  inventory = await readFile(cluster.inventory, "utf8");
  // In the checkout, where its packages are found.
  plugin = join(ROOT, ".convocate/test-command-plugin");
  await mkdir(plugin, { recursive: true });
  const entry = "test/support/command-plugin/main.ts";
  const options = ["--bundle", "--platform=node", "--format=esm", "--packages=external"];
  const names = [`--outfile=${plugin}/main.mjs`, `--define:CONVOCATE_RELEASE="1.2.1"`];
  const built = await command(["node_modules/.bin/esbuild", entry, ...options, ...names]);
  expect({ exitCode: built.exitCode, said: built.exitCode === 0 ? "" : built.stderr }).toEqual({
    exitCode: 0,
    said: "",
  });
  const program = join(plugin, "pulumi-resource-command");
  await writeFile(program, `#!/bin/sh\nexec ${ROOT}/node_modules/.bin/node ${plugin}/main.mjs "$@"\n`);
  await chmod(program, 0o755);
  const set = ["config", "set", "--secret", "convocate:hookToken", "--stack", cluster.stack, "--non-interactive"];
  expect(await command(["script/pulumi", ...set], { input: SECRET })).toMatchObject({ exitCode: 0 });
}, 1_200_000);
afterAll(async () => {
  await writeFile(cluster.inventory, inventory);
  await up();
  await cluster.lab.sh("agent-1", "rm -f /root/t-hook-*");
  await cluster.pulumi(["config", "rm", "convocate:hookToken"]);
  await rm(plugin, { recursive: true });
  await cluster.close();
}, 300_000);

async function up(): Promise<CommandResult> {
  const argv = ["up", "--yes", "--skip-preview", "--non-interactive", "--color", "never", "--stack", cluster.stack];
  const env = { PATH: `${plugin}:${process.env["PATH"] ?? ""}` };
  return await command(["script/pulumi", ...argv], { timeoutMs: 600_000, env });
}
async function withHooks(hooks: object[]): Promise<void> {
  const file = parse(inventory) as { agents: object[] };
  const [first, ...rest] = file.agents;
  await writeFile(cluster.inventory, stringify({ ...file, agents: [{ ...first, hooks }, ...rest] }));
}
const onAgent = async (script: string): Promise<string> => (await cluster.lab.sh("agent-1", script)).trim();

test("hooks run as root in their order, with the stack's secrets, which are seen nowhere; a second up runs none", async () => {
  const hooks = [
    { name: "first", run: "id -un >/root/t-hook-user; systemctl is-active convocate-agent >>/root/t-hook-user" },
    {
      name: "second",
      run: 'cat /root/t-hook-user >/root/t-hook-seen; printf %s "$TOKEN" >>/root/t-hook-seen; sleep 2; echo ran',
      secrets: { TOKEN: "hookToken" },
    },
  ];
  await withHooks(hooks);
  const run = up();
  const state = { done: false };
  void run.finally(() => (state.done = true));
  while (!state.done) {
    const [here, there] = await Promise.all([
      command(["ps", "axww", "-o", "args"]),
      cluster.lab.exec("agent-1", ["ps", "axww", "-o", "args"]),
    ]);
    for (const { stdout } of [here, there]) expect(stdout).not.toContain(SECRET);
    await sleep(100);
  }
  const { exitCode, stdout, stderr } = await run;
  expect({ exitCode, said: exitCode === 0 ? "" : stdout }).toEqual({ exitCode: 0, said: "" });
  expect(await onAgent("cat /root/t-hook-seen")).toBe(`root\nactive\n${SECRET}`);
  expect(`${stdout}${stderr}`).not.toContain(SECRET);
  const exported = (await cluster.pulumi(["stack", "export"])).stdout;
  expect(exported).not.toContain(SECRET);
  expect(exported).not.toContain("PRIVATE KEY");
  expect(await readFile(join(ROOT, `Pulumi.${cluster.stack}.yaml`), "utf8")).not.toContain(SECRET);

  await onAgent("rm /root/t-hook-*");
  expect((await up()).stdout).toMatch(/Resources:\s+\d+ unchanged/);
  expect(await onAgent("ls /root | grep -c t-hook || :")).toBe("0");
}, 900_000);

test("a hook that changed runs again; one that fails fails the rollout with what it said; one that is taken out is forgotten", async () => {
  await withHooks([{ name: "first", run: "echo again >/root/t-hook-again" }]);
  expect((await up()).exitCode).toBe(0);
  expect(await onAgent("cat /root/t-hook-again")).toBe("again");
  await withHooks([{ name: "first", run: "echo out of luck >&2; exit 3" }]);
  const failed = await up();
  expect(failed.exitCode).not.toBe(0);
  expect(failed.stdout).toContain("out of luck");
  await withHooks([]);
  expect((await up()).exitCode).toBe(0);
}, 900_000);
