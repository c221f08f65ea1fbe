import { afterAll, beforeAll, test } from "@jest/globals";
import { DockerVictim } from "../support/docker-faults.js";

let victim: DockerVictim;

beforeAll(async () => {
  victim = await DockerVictim.open();
}, 1_200_000);
afterAll(async () => {
  await victim[Symbol.asyncDispose]();
}, 120_000);

test("dockerd killed with SIGKILL: the session goes on, the agent says what it sees, and then the truth", async () => {
  const since = new Date();
  // Its own service brings it back; held back for a moment, so that there is something to see.
  await victim.on("systemctl stop docker.socket; systemctl kill -s KILL docker; systemctl stop docker");
  await victim.becomes("error");
  await victim.on("systemctl start docker");
  await victim.isWhole(since);
}, 240_000);

test("containerd killed with SIGKILL: the session goes on", async () => {
  const since = new Date();
  await victim.on("systemctl kill --kill-whom=main -s KILL containerd");
  await victim.isWhole(since);
}, 240_000);
