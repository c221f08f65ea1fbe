import { expect, test } from "@jest/globals";
import type { Connection } from "../connection/index.js";
import { askShell } from "./cross.js";

function saying(stdout: string): Connection {
  const answer = { exitCode: 0, stdout, stderr: "" };
  return { host: { name: "shell" }, run: async () => Promise.resolve(answer) } as unknown as Connection;
}

test("an agent is well when it answers the shell and is heard by it; what else it is, is told with its reason", async () => {
  const connected = { state: "connected" };
  const agents = [
    { id: "aaaaaaaa", name: "well", release: "3", connection: connected, heard: { connection: "connected" } },
    { id: "bbbbbbbb", name: "unheard", release: "3", connection: connected, heard: null },
    { id: "cccccccc", name: "down", connection: { state: "connecting", error: "connection refused" } },
    { id: "dddddddd", name: "slow", connection: { state: "connecting" } },
  ];
  const asked = ["well", "unheard", "down", "slow", "unknown"];
  const findings = await askShell(saying(JSON.stringify({ agents })), "claude", asked);
  expect(findings.map(({ check, level, says }) => `${level} ${check}: ${says}`)).toEqual([
    "ok agent well: answers as 3",
    "ok agent unheard: answers as 3",
    "fail agent unheard: convocate-status does not hear it",
    "fail agent down: connection refused",
    "fail agent slow: did not answer within 15 s",
    "fail agent unknown: is not registered",
  ]);
});

test("a shell that says something else than a list of agents is what is ill", async () => {
  const findings = await askShell(saying("convocate: broken"), "claude", ["well"]);
  expect(findings).toMatchObject([{ check: "agents", level: "fail" }]);
});
