import { expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { acceptanceCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";

// It goes on drawing what it hears of its agents, so sshd alone would not notice (infra's text of the login shell).
test("a TUI whose link was cut without a word is gone within two minutes", async () => {
  const cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  const { lab } = cluster;
  await lab.sh(
    "shell",
    "install -d -o claude -g claude -m 0700 /home/claude/.ssh; install -o claude -g claude -m 0600 /dev/stdin /home/claude/.ssh/authorized_keys",
    { input: await readFile(`${lab.keyPath}.pub`, "utf8") },
  );
  const client = spawn("ssh", ["-tt", ...lab.sshArgs("shell", "claude")], { stdio: ["pipe", "pipe", "ignore"] });
  const tuis = async (): Promise<number> =>
    Number((await lab.exec("shell", ["pgrep", "-c", "-u", "claude", "-f", "convocate.mjs$"])).stdout);
  try {
    await eventually("the TUI", async () => (await tuis()) === 1, { timeoutMs: 60_000 });
    await lab.disconnect("shell");
    await eventually("the TUI to be gone", async () => (await tuis()) === 0, { timeoutMs: 120_000 });
  } finally {
    client.kill("SIGKILL");
    await lab.connect("shell");
    await cluster.close();
  }
  expect(await tuis()).toBe(0);
}, 1_500_000);
