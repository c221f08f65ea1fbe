import type * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { ConvocateError } from "../../runtime/domain/index.js";
import {
  credentialsFor,
  jumpHost,
  preferredKey,
  quoteArgv,
  quoteWord,
  sudoArgv,
  sudoInput,
} from "../connection/index.js";
import type { HostAddress } from "../connection/index.js";
import type { InventoryHook, InventoryHost } from "../inventory/index.js";

export interface HooksOf {
  machine: InventoryHost;
  /** All that must be there before its hooks run. */
  after: readonly pulumi.Resource[];
}

/** What of `@pulumi/command` is used. */
type CommandPackage = Pick<typeof command, "local" | "remote">;

/**
 * The operator's own commands: those of a host one after another, once it is provisioned. The package is loaded, and its
 * plugin needed, only where there are hooks.
 */
export async function declareHooks(
  hosts: readonly HooksOf[],
  parent: pulumi.Resource,
  load: () => Promise<CommandPackage> = async () => (await import("@pulumi/command")).default,
): Promise<void> {
  const withHooks = hosts.filter(({ machine }) => (machine.hooks ?? []).length > 0);
  if (withHooks.length === 0) return;
  refuseWithoutPlugin(withHooks[0]?.machine.name ?? "");
  const { local, remote } = await load();
  for (const { machine, after } of withHooks) {
    let previous = [...after];
    for (const hook of machine.hooks ?? []) {
      const name = `${machine.name}/hook-${hook.name}`;
      const options = { parent, dependsOn: previous, additionalSecretOutputs: ["stdout", "stderr"] };
      // Its output may hold what the hook was given, and the plugin would print it.
      const args = { ...hookCommand(machine.host, hook), logging: "none", addPreviousOutputInEnv: false } as const;
      previous = [
        machine.host.via === "local"
          ? new local.Command(name, args, options)
          : new remote.Command(name, { ...args, connection: connectionOf(machine.host) }, options),
      ];
    }
  }
}

/** Of `@pulumi/command` in package.json, which its package wants in just this version. */
const PLUGIN_VERSION = "1.2.1";

/** Where Pulumi may not fetch plugins by itself (script/pulumi), it says of one that is missing only that it is. */
function refuseWithoutPlugin(host: string): void {
  const { PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: mayNot, PULUMI_HOME: home, PATH: path = "" } = process.env;
  if (mayNot !== "true") return;
  const installed = join(home ?? join(homedir(), ".pulumi"), "plugins", `resource-command-v${PLUGIN_VERSION}`);
  const named = path.split(delimiter).map((dir) => join(dir, "pulumi-resource-command"));
  if ([installed, ...named].some((file) => existsSync(file))) return;
  throw new ConvocateError(
    "BAD_USAGE",
    `${host} has hooks, and the plugin that runs them is not installed: run script/pulumi plugin install resource ` +
      `command ${PLUGIN_VERSION}`,
  );
}

/** Reads its secrets, as assignments, from its input; what they are stands in no argument. */
const WITH_SECRETS = 'eval "$(cat)"; exec sh -eu -c "$1"';

function hookCommand(host: HostAddress, hook: InventoryHook): { create: string; stdin: pulumi.Output<string> } {
  const argv = ["sh", "-eu", "-c", WITH_SECRETS, `hook-${hook.name}`, hook.run];
  const assignments = pulumi
    .all(
      Object.entries(hook.secrets).map(([name, key]) =>
        secretOf(host.name, hook.name, key).apply((value) => [name, value] as const),
      ),
    )
    .apply((pairs) => pairs.map(([name, value]) => `export ${name}=${quoteWord(value)}\n`).join(""));
  const isRoot = host.via === "local" ? process.getuid?.() === 0 : host.user === "root";
  if (isRoot) return { create: quoteArgv(argv), stdin: pulumi.secret(assignments) };
  const stdin = assignments.apply(async (text) => `${(await sudoInput(host)) ?? ""}${text}`);
  return { create: quoteArgv(sudoArgv(host, argv)), stdin: pulumi.secret(stdin) };
}

function secretOf(host: string, hook: string, key: string): pulumi.Output<string> {
  const set = `script/pulumi config set --secret convocate:${key} --stack ${pulumi.getStack()}`;
  const value = new pulumi.Config("convocate").getSecret(key);
  if (value === undefined)
    throw new ConvocateError(
      "BAD_INVENTORY",
      `hook ${hook} of ${host} wants convocate:${key}, which is not in the stack's config: ${set}`,
    );
  return value;
}

type SshHost = Extract<HostAddress, { via: "ssh" }>;

/** How our own provider gets there, in the package's words. Two tries: a host that is down is told by then. */
function connectionOf(host: SshHost): pulumi.Output<command.types.input.remote.ConnectionArgs> {
  const login = async (to: SshHost): Promise<Omit<command.types.input.remote.ConnectionArgs, "proxy">> => {
    const credentials = await credentialsFor(to);
    return {
      host: to.address,
      port: to.port,
      user: to.user,
      hostKey: preferredKey(to.hostKeys),
      dialErrorLimit: 1,
      perDialTimeout: 10,
      ...("agent" in credentials
        ? { agentSocketPath: credentials.agent }
        : { privateKey: credentials.privateKey.toString("utf8") }),
    };
  };
  const jump = jumpHost(host);
  const whole = async (): Promise<command.types.input.remote.ConnectionArgs> => ({
    ...(await login(host)),
    ...(jump && { proxy: await login(jump) }),
  });
  return pulumi.secret(whole());
}
