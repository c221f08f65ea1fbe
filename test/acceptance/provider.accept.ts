import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";

const plugin = join(process.cwd(), "infra/provider/bin/pulumi-resource-convocate");

async function firstLine(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout! });
  const [line] = (await once(lines, "line")) as [string];
  return line;
}
const gone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

test("the plugin prints its port, and ends by itself when the engine says goodbye", async () => {
  const child = spawn(plugin, ["127.0.0.1:9"], { stdio: ["ignore", "pipe", "inherit"] });
  expect(Number(await firstLine(child))).toBeGreaterThan(0);
  child.kill("SIGINT");
  expect(await once(child, "exit")).toEqual([0, null]);
}, 20_000);

test("a plugin whose engine was killed does not stay", async () => {
  // The shell stands for the engine: killed, it can tell nobody anything.
  const engine = spawn("sh", ["-c", '"$0" 127.0.0.1:9 & echo $!; wait', plugin], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: engine.stdout })[Symbol.asyncIterator]();
  const pid = Number((await lines.next()).value);
  expect(Number((await lines.next()).value)).toBeGreaterThan(0);
  expect(gone(pid)).toBe(false);
  engine.kill("SIGKILL");
  await eventually("the provider to end with its engine", () => gone(pid), { timeoutMs: 10_000 });
}, 20_000);
