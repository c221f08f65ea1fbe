import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { rollout } from "../../infra/rollout/index.js";
import { command, ROOT } from "../support/cluster.js";
import { KEY } from "../support/inventory.js";

// Two stacks in a backend of their own, and no host: what they have of one is a port where nobody listens.

const STACKS = ["test-side-a", "test-side-b"] as const;
const [A, B] = STACKS;
let dir: string;
let env: { PULUMI_BACKEND_URL: string };
let holder: ChildProcess;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "convocate-stacks-"));
  env = { PULUMI_BACKEND_URL: `file://${dir}` };
  // Somebody who lives, to hold a lock.
  holder = spawn("sleep", ["600"], { stdio: "ignore" });
  for (const stack of STACKS) {
    const inventory = join(dir, `${stack}.yaml`);
    await writeFile(
      inventory,
      `cluster: ${stack}\nshell: { name: s, address: 127.0.0.1, port: 2, hostKey: ${KEY}, identityFile: /none }\n`,
    );
    for (const argv of [
      ["stack", "init", stack],
      ["config", "set", "convocate:inventory", inventory, "--stack", stack],
    ])
      expect(await command(["script/pulumi", ...argv, "--non-interactive"], { env })).toMatchObject({ exitCode: 0 });
  }
}, 120_000);
afterAll(async () => {
  holder.kill();
  for (const stack of STACKS) await rm(join(ROOT, `Pulumi.${stack}.yaml`), { force: true });
  await rm(dir, { recursive: true });
});

/** A lock as Pulumi's file backend writes it. */
async function lock(stack: string, pid: number): Promise<void> {
  const folder = join(dir, ".pulumi/locks/organization/convocate", stack);
  await mkdir(folder, { recursive: true });
  const content = { pid, username: userInfo().username, hostname: hostname(), timestamp: new Date().toISOString() };
  await writeFile(join(folder, "0f0f0f0f-0000-4000-8000-000000000000.json"), JSON.stringify(content));
}

test("stacks live where PULUMI_BACKEND_URL says, side by side", async () => {
  const names = await readdir(join(dir, ".pulumi/stacks/convocate"));
  expect(names.filter((name) => /\.json$/.test(name)).sort()).toEqual(STACKS.map((stack) => `${stack}.json`));
});

test("a lock that a live process holds is told with its owner and the command that clears it, and holds up no other stack", async () => {
  await lock(A, holder.pid!);
  const refused = await rollout({ stack: A, variables: env }).catch((error: unknown) => error);
  expect(refused).toMatchObject({
    code: "REFUSED",
    exitCode: 4,
    message: expect.stringMatching(
      new RegExp(`stack ${A} .*process ${holder.pid!}.*wait.*script/pulumi cancel --yes --stack ${A}`),
    ),
  });
  expect((refused as Error).message.split("\n")).toHaveLength(1);
  await expect(rollout({ stack: B, variables: env })).rejects.toMatchObject({ code: "AUTH_REJECTED" });
}, 120_000);

test("a verb that only works on a stack makes none: it says which there are, and what makes one", async () => {
  const stack = "test-side-c";
  const config = join(ROOT, `Pulumi.${stack}.yaml`);
  await writeFile(config, `config:\n  convocate:inventory: ${join(dir, `${A}.yaml`)}\n`);
  try {
    for (const argv of [["plan"], ["update", "--all"], ["remove", "--all", "--force"]]) {
      const verb = [join(ROOT, "node_modules/.bin/node"), "dist/convocate-host.mjs", ...argv, "--stack", stack];
      const refused = await command(verb, { env });
      expect(refused).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining(
          `there is no stack ${stack}: there are ${A}, ${B}. \`convocate-host init-shell`,
        ),
      });
    }
    const names = await readdir(join(dir, ".pulumi/stacks/convocate"));
    expect(names.filter((name) => name.startsWith(stack))).toEqual([]);
  } finally {
    await rm(config);
  }
}, 120_000);

test("hooks without their plugin are told with the command that installs it; without hooks nobody asks for it", async () => {
  const inventory = join(dir, `${B}.yaml`);
  const text = await readFile(inventory, "utf8");
  const preview = ["script/pulumi", "preview", "--non-interactive", "--color", "never", "--stack", B];
  expect(await command(preview, { env })).toMatchObject({ exitCode: 0 });
  await writeFile(inventory, text.replace("port: 2,", "port: 2, hooks: [{ name: one, run: 'true' }],"));
  const refused = await command(preview, { env });
  await writeFile(inventory, text);
  expect(refused.exitCode).not.toBe(0);
  expect(refused.stdout).toContain(
    "s has hooks, and the plugin that runs them is not installed: run script/pulumi plugin install resource command 1.2.1",
  );
}, 120_000);

test("what a dead process left, a lock and half of a file, is taken away, and the work goes on", async () => {
  const dead = spawn("true");
  await new Promise((resolve) => dead.once("exit", resolve));
  await lock(A, dead.pid!);
  // Killed between two writes of its state: Pulumi itself says "failed to load checkpoint: EOF" then.
  const stacks = join(dir, ".pulumi/stacks/convocate");
  await writeFile(join(stacks, `${A}.json.attrs`), "");
  await writeFile(join(stacks, `${A}.json.18ea26379827688c.tmp`), "{}");
  const up = await command(["script/pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", A], {
    env,
  });
  expect(up.stderr).toContain(`process ${dead.pid!} was cut off and left its lock: taken away`);
  expect(up.stdout).toContain("AUTH_REJECTED");
  expect((await readdir(stacks)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
}, 120_000);
