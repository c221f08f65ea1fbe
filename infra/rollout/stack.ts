import { dirname } from "node:path";
import type { EngineEvent } from "@pulumi/pulumi/automation/events.js";
import type { LocalWorkspace } from "@pulumi/pulumi/automation/localWorkspace.js";
import type { Stack } from "@pulumi/pulumi/automation/stack.js";
import { byText, ConvocateError, toConvocateError } from "../../runtime/domain/index.js";
import { checkoutRoot, checkStackName } from "../inventory/index.js";
import { pulumiEnvironment } from "./environment.js";
import { combined, EventReader, type RolloutEvent } from "./events.js";

export interface RolloutOptions {
  stack: string;
  /** A stack that is not there is made: what begins a cluster says so, and nothing else does. */
  makes?: boolean;
  /** Patterns of URNs to leave alone (`excluded`). */
  exclude?: readonly string[];
  /** Patterns of URNs to work on alone; everything when left out. */
  target?: readonly string[];
  /** For the program and the provider, beside what `script/pulumi` sets. */
  variables?: Readonly<Record<string, string>>;
  onEvent?: (event: RolloutEvent) => void;
  /** Ends the engine as Ctrl-C would. Not for terminals, where the engine hears Ctrl-C itself: twice would kill it. */
  signal?: AbortSignal;
}

/**
 * The stack of this checkout, on the same state as `script/pulumi`.
 * @throws ConvocateError BAD_USAGE when there is none and it is not to be made, with those that there are.
 */
export async function openStack({ stack: name, makes, variables: more, signal }: RolloutOptions): Promise<Stack> {
  const root = checkoutRoot();
  const { pulumi, variables } = await pulumiEnvironment(root, checkStackName(name), signal);
  // Pulumi's SDK takes half a second to load; `--help` does not wait for it.
  const { default: automation } = await import("@pulumi/pulumi/automation/index.js");
  const pulumiCommand = await automation.PulumiCommand.get({ root: dirname(dirname(pulumi)) });
  const envVars = { ...variables, ...more };
  const options = { workDir: root, pulumiCommand, envVars, secretsProvider: "passphrase" };
  const workspace = await automation.LocalWorkspace.create(options);
  const run: Run = (argv) => (pulumiCommand as object as { run: Run }).run(argv, root, envVars);
  const ours = Object.assign(workspace, unselected(run));
  if (makes) return await automation.Stack.createOrSelect(name, ours);
  try {
    return await automation.Stack.select(name, ours);
  } catch (thrown) {
    if (!(thrown instanceof automation.StackNotFoundError)) throw thrown;
    const there = (await workspace.listStacks()).map((stack) => stack.name.split("/").at(-1) ?? "");
    throw noStack(name, there);
  }
}

/** What a command says that works on a stack and begins none. The backend's address may have a password in it. */
export function noStack(name: string, there: readonly string[]): ConvocateError {
  const known = there.length === 0 ? "there is none here" : `there are ${[...there].sort(byText).join(", ")}`;
  return new ConvocateError(
    "BAD_USAGE",
    `there is no stack ${name}: ${known}. \`convocate-host init-shell --host HOST --stack ${name}\` makes one; ` +
      "if its state is kept elsewhere, PULUMI_BACKEND_URL says where",
  );
}

/** Refuses what works on a stack when there is none, before any host is touched. */
export async function requireStack(options: RolloutOptions): Promise<void> {
  await openStack(options);
}

/** `run` of the SDK's PulumiCommand, which is left out of its types. It tells a stack that there is not by its error's class. */
type Run = (argv: string[], directory?: string, variables?: Record<string, string>) => Promise<unknown>;

/**
 * How a stack is opened and made without becoming the selected one, which is for the operator to choose and the SDK changes.
 * All else that the SDK runs names its stack.
 */
export function unselected(run: Run): Pick<LocalWorkspace, "selectStack" | "createStack"> {
  return {
    selectStack: async (name) => void (await run(["stack", "--show-name", "--stack", name])),
    createStack: async (name) =>
      void (await run(["stack", "init", name, "--secrets-provider", "passphrase", "--no-select"])),
  };
}

/** Runs one of the stack's operations with our events; rejects with what the engine's diagnostics say. */
export async function runOnStack(operation: "preview" | "up" | "destroy", options: RolloutOptions): Promise<void> {
  const { signal } = options;
  const reader = new EventReader();
  const errors: ConvocateError[] = [];
  const onEvent = (engineEvent: EngineEvent): void => {
    for (const event of reader.read(engineEvent)) {
      if (event.type === "error") errors.push(event.error);
      options.onEvent?.(event);
    }
  };
  try {
    const stack = await openStack(options);
    // The engine takes one or the other.
    const which = options.target ? { target: [...options.target] } : { exclude: [...(options.exclude ?? [])] };
    const engineOptions = { onEvent, refresh: true, ...which, ...(signal && { signal }) };
    if (operation === "preview") await stack.preview(engineOptions);
    else if (operation === "up") await stack.up({ ...engineOptions, suppressOutputs: true });
    else await stack.destroy({ ...engineOptions, suppressOutputs: true });
  } catch (thrown) {
    if (signal?.aborted) throw new ConvocateError("INTERRUPTED", "interrupted: run it again to complete it");
    throw combined(errors) ?? lockedError(thrown, options.stack) ?? engineError(thrown);
  }
}

/** Somebody else's lock on the stack: a dead process's on this machine was taken away before (script/pulumi). */
function lockedError(thrown: unknown, stack: string): ConvocateError | undefined {
  if (!(thrown instanceof Error) || thrown.name !== "ConcurrentUpdateError") return undefined;
  const [, owner, pid, since] = /created by (\S+) \(pid (\d+)\) at (\S+)/.exec(thrown.message) ?? [];
  const who = owner === undefined ? "another Pulumi" : `process ${pid ?? ""} (${owner}, since ${since ?? ""})`;
  return new ConvocateError(
    "REFUSED",
    `stack ${stack} is being worked on by ${who}: wait for it, or, if it is there no more: ` +
      `script/pulumi cancel --yes --stack ${stack}`,
    { cause: thrown },
  );
}

/** Pulumi's own failures come as a whole transcript; its last `error:` line is what they mean. */
function engineError(thrown: unknown): ConvocateError {
  const error = toConvocateError(thrown, "ROLLOUT_FAILED");
  if (thrown instanceof ConvocateError) return error;
  const lines = error.message.split("\n").map((line) => line.trim());
  const said = lines.filter((line) => /(^|\s)error: /.test(line)).at(-1);
  const message = said?.replace(/^.*?error: /, "") ?? "it ended before it was done: run this again to complete it";
  return new ConvocateError("ROLLOUT_FAILED", `Pulumi: ${message}`, { cause: thrown });
}

/** Names of the resources in the stack's state, as `agent-1/docker`; none when there is no state yet. */
export async function resourceNames(options: RolloutOptions): Promise<string[]> {
  const stack = await openStack(options);
  const exported = await stack.exportStack();
  const { resources = [] } = (exported.deployment ?? {}) as { resources?: { urn: string }[] };
  return resources.map(({ urn }) => urn.split("::").slice(3).join("::"));
}
