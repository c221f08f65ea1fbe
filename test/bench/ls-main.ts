import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { orders, serveStandIns } from "./stand-ins.js";

/**
 * Runs on a shell host, as root, with a folder of agents' keys that is its own: serves agents with so many sessions each, and
 * prints how long each `convocate ls` of the service user takes, from the start of the process to its end, in ms.
 */
const { home, runs, ...standIns } = orders(process.argv.slice(2));
await serveStandIns(standIns);
const { agents, sessions, uid, gid } = standIns;

const run = promisify(execFile);
const times: number[] = [];
for (let at = 0; at < runs; at += 1) {
  const startedMs = performance.now();
  const { stdout } = await run("/usr/local/bin/convocate", ["ls"], {
    uid,
    gid,
    env: { HOME: home, PATH: process.env["PATH"] },
    maxBuffer: 1 << 24,
  });
  times.push(performance.now() - startedMs);
  const lines = stdout.trimEnd().split("\n").length;
  if (lines !== agents * sessions + 1) throw new Error(`ls printed ${lines} lines of ${agents * sessions + 1}`);
}
process.stdout.write(`${JSON.stringify(times)}\n`);
process.exit(0);
