import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { createPool } from "../../../infra/connection/index.js";
import { startProvider } from "../../../infra/provider/start.js";
import type { Lifecycle } from "../../../infra/resources/lifecycle.js";

/**
 * Stands in for the plugin of `@pulumi/command`, which cannot be had where only package registries are reached: its
 * `remote.Command`, as far as our hooks use it (provider/pkg/provider/remote/command*.go of pulumi-command 1.2.1). Like the
 * real one it has no read, runs `create` when it is made and when its inputs change, and puts what it printed into an error.
 */
const Inputs = z.object({
  create: z.string(),
  stdin: z.string(),
  logging: z.literal("none"),
  addPreviousOutputInEnv: z.literal(false),
  connection: z.object({
    host: z.string(),
    port: z.number(),
    user: z.string(),
    hostKey: z.string(),
    privateKey: z.string(),
    dialErrorLimit: z.number(),
    perDialTimeout: z.number(),
  }),
});
type Inputs = z.infer<typeof Inputs>;
type State = Inputs & { stdout: string; stderr: string };

const pool = createPool();
const dir = mkdtempSync(join(tmpdir(), "convocate-command-"));

const command: Lifecycle<Inputs, State> = {
  kind: "Command",
  inputs: Inputs,
  secretOutputs: ["connection"],
  diff: (state, inputs) =>
    (["create", "stdin", "connection"] as const)
      .filter((name) => JSON.stringify(sorted(state[name])) !== JSON.stringify(sorted(inputs[name])))
      .map((path) => ({ path, kind: "change" })),
  async create(inputs, { signal }) {
    const { host, port, user, hostKey, privateKey } = inputs.connection;
    const identityFile = join(dir, "key");
    writeFileSync(identityFile, privateKey, { mode: 0o600 });
    const login = { address: host, port, user, hostKeys: [hostKey], identityFile };
    const at = { via: "ssh" as const, name: host, ...login };
    const connection = await pool.connect(at, signal);
    const options = { root: false, allowFailure: true, signal, input: inputs.stdin };
    const { exitCode, stdout, stderr } = await connection.run(["sh", "-c", inputs.create], options);
    if (exitCode !== 0) throw new Error(`exit status ${exitCode}: running "${inputs.create}":\n${stdout}${stderr}`);
    return { id: "hook", state: { ...inputs, stdout, stderr } };
  },
  async read(state) {
    return state;
  },
  async update(_state, inputs, context) {
    return (await command.create(inputs, context)).state;
  },
  async delete() {
    // Hooks have no `delete`.
  },
};

/** The engine does not keep the order of keys. */
function sorted(value: unknown): unknown {
  return typeof value === "object" && value !== null
    ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
    : value;
}

const lifecycles = [command] as unknown as readonly Lifecycle[];
const { port } = await startProvider({ lifecycles, pool, readHosts: () => [], engineAddress: process.argv[2] });
process.once("SIGINT", () => process.exit(0));
process.stdout.write(`${port}\n`);
