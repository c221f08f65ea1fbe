import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { DockerVictim } from "../support/docker-faults.js";

let victim: DockerVictim;

beforeAll(async () => {
  victim = await DockerVictim.open();
}, 1_200_000);
afterAll(async () => {
  await victim[Symbol.asyncDispose]();
}, 120_000);

test("dockerd ended with SIGTERM and started again: the session goes on", async () => {
  const since = new Date();
  await victim.on("systemctl kill --kill-whom=main -s TERM docker");
  await victim.on("timeout 60 bash -c 'until systemctl start docker; do sleep 1; done'");
  await victim.isWhole(since);
}, 240_000);

test("dockerd stopped with SIGSTOP for 30 s: the agent goes on answering, and says that it cannot see", async () => {
  const since = new Date();
  await victim.on("systemctl kill --kill-whom=main -s STOP docker");
  const from = Date.now();
  try {
    while (Date.now() - from < 30_000) {
      const { state, tookMs } = await victim.says();
      expect(state).toBe("error");
      expect(tookMs).toBeLessThan(15_000);
      await sleep(1_000);
    }
  } finally {
    await victim.on("systemctl kill --kill-whom=main -s CONT docker");
  }
  await victim.isWhole(since);
}, 300_000);

test("dockerd and containerd killed again and again: the session goes on", async () => {
  const since = new Date();
  for (let i = 0; i < 5; i++) {
    await victim.on("systemctl kill --kill-whom=main -s KILL containerd || true");
    await victim.on("systemctl kill --kill-whom=main -s KILL docker || true");
    await sleep(4_000);
    await victim.on(
      "timeout 60 bash -c 'until systemctl reset-failed docker containerd; systemctl start docker; do sleep 1; done'",
    );
  }
  await victim.isWhole(since);
}, 300_000);
