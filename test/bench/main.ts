import { Command, InvalidArgumentError, Option } from "commander";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { ROOT, type TestCluster } from "../support/cluster.js";
import { measureIdle, measureOutput, measureStart } from "./agent.js";
import { measureEcho, measureFarEcho, measureFirstByte } from "./attach.js";
import type { Figure } from "./figures.js";
import { measureLs } from "./ls.js";
import { benchCluster } from "./ours.js";
import { measurePush } from "./push.js";
import { json, table, type Quiet } from "./report.js";
import { firstRollout, measureRollout } from "./rollout.js";
import { measureRpc } from "./rpc.js";
import { echoingSession, removeSession } from "./session.js";
import { measureTui } from "./tui.js";

const ROWS = [
  "echo",
  "far-echo",
  "first-byte",
  "rpc",
  "output",
  "start",
  "idle",
  "ls",
  "tui",
  "push",
  "rollout",
] as const;
type Row = (typeof ROWS)[number];
const PINGS = 1000;
const SSH_EXECS = 50;

function between(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`must be a whole number from ${least} to ${most}`);
    return value;
  };
}

interface Options {
  hosts?: number;
  runs: number;
  keys: number;
  json: boolean;
  keep: boolean;
}

const benchFolder = join(ROOT, "test/bench");
const load = (): number => loadavg()[0] ?? 0;

/** Hands each figure on as soon as it is there: what fails later takes none of them away. */
async function measure(rows: readonly Row[], options: Options, figures: Figure[]): Promise<void> {
  const attachRows = rows.filter((row) => !["rollout", "ls", "tui", "push"].includes(row));
  const one = attachRows.length > 0 || rows.includes("ls") || rows.includes("tui");
  const rollouts = rows.includes("rollout") ? (options.hosts === undefined ? [1, 10] : [options.hosts]) : [];
  if (rows.includes("push")) figures.push(...(await measurePush({ runs: Math.min(options.runs, 3) })));
  const sizes = [...new Set([...(one ? [1] : []), ...rollouts])];
  for (const machines of sizes) {
    process.stderr.write(`bench: a cluster of ${machines} host(s) comes up\n`);
    const cluster = await benchCluster(machines);
    try {
      const firstMs = rollouts.includes(machines) ? await firstRollout(cluster) : (await cluster.up(), 0);
      if (machines === 1 && attachRows.length > 0)
        figures.push(...(await measureSession(cluster, attachRows, options)));
      if (machines === 1 && rows.includes("ls"))
        figures.push(...(await measureLs(cluster, Math.max(options.runs, 20))));
      if (machines === 1 && rows.includes("tui"))
        figures.push(...(await measureTui(cluster, Math.max(options.runs, 20))));
      if (rollouts.includes(machines))
        figures.push(...(await measureRollout(cluster, { ...options, benchFolder, firstMs })));
    } finally {
      if (options.keep) await cluster.close();
      else await cluster.takeDown();
    }
  }
}

async function measureSession(cluster: TestCluster, rows: readonly Row[], { keys, runs }: Options): Promise<Figure[]> {
  const figures: Figure[] = [];
  const client = join(ROOT, "dist/bench/attach-client.mjs");
  const target = await echoingSession(cluster, client);
  const other = await echoingSession(cluster, client);
  try {
    for (const row of rows) {
      process.stderr.write(`bench: ${row}\n`);
      if (row === "echo") figures.push(...(await measureEcho({ ours: target, peer: other }, keys)));
      if (row === "far-echo") figures.push(...(await measureFarEcho({ ours: target, peer: other })));
      if (row === "first-byte") figures.push(...(await measureFirstByte(target, Math.max(runs, 20))));
      if (row === "output") figures.push(...(await measureOutput(cluster, { ours: target, peer: other })));
      if (row === "start") figures.push(...(await measureStart(cluster, Math.max(runs, 10))));
      if (row === "idle") figures.push(...(await measureIdle(cluster)));
      if (row === "rpc") figures.push(...(await measureRpc(target, { pings: PINGS, execs: SSH_EXECS })));
    }
  } finally {
    await removeSession(cluster, target);
    await removeSession(cluster, other);
  }
  return figures;
}

const program = new Command("script/bench")
  .description("measures what SPEC 14 asks for on lab hosts, beside what a user would use instead, and prints a table")
  .argument("[rows...]", `which figures: ${ROWS.join(", ")}; all unless named`)
  .option("--hosts <n>", "rollouts of that many hosts only, instead of 1 and 10", between(1, 50))
  .option("--runs <n>", "timed no-op rollouts of each, and pushes (3 at most)", between(1, 100), 5)
  .option("--keys <n>", "keystrokes of each", between(20, 5000), 300)
  .addOption(new Option("--json", "print the figures as JSON").default(false))
  .addOption(new Option("--keep", "leave the lab hosts up for the next run").default(false))
  .action(async (named: string[], options: Options) => {
    for (const row of named) {
      if (!(ROWS as readonly string[]).includes(row))
        program.error(`error: no such row '${row}': there are ${ROWS.join(", ")}`, { exitCode: 2 });
    }
    const loadBefore = load();
    if (loadBefore > availableParallelism() / 2)
      process.stderr.write(`bench: the machine is busy (load ${loadBefore.toFixed(2)}): these figures will be noisy\n`);
    const figures: Figure[] = [];
    try {
      await measure(named.length > 0 ? (named as Row[]) : ROWS, options, figures);
    } finally {
      const quiet: Quiet = { processors: availableParallelism(), loadBefore, loadAfter: load() };
      if (figures.length > 0) process.stdout.write(`${options.json ? json(figures, quiet) : table(figures, quiet)}\n`);
    }
  })
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
