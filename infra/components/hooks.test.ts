import { afterAll, beforeEach, expect, test } from "@jest/globals";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { makeKeys } from "../../test/support/connection/test-server.js";
import type { InventoryHost } from "../inventory/index.js";
import { declareHooks } from "./hooks.js";

const keys = makeKeys(3);
const [login, hostKey, jumpKey] = [keys[0]!, keys[1]!, keys[2]!];
afterAll(() => keys[Symbol.dispose]());

interface Declared {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
}
let declared: Declared[];
beforeEach(async () => {
  declared = [];
  await pulumi.runtime.setMocks(
    {
      call: () => ({}),
      newResource: ({ type, name, inputs }) => {
        declared.push({ type, name, inputs: inputs as Record<string, unknown> });
        return { id: name, state: { ...(inputs as object), stdout: "", stderr: "" } };
      },
    },
    "convocate",
    "dev",
  );
});

const machine = (over: Partial<InventoryHost> & { user?: string; sudoPasswordFile?: string } = {}): InventoryHost => {
  const { user = "root", sudoPasswordFile, ...rest } = over;
  return {
    name: "agent-1",
    host: {
      via: "ssh",
      name: "agent-1",
      address: "192.0.2.11",
      port: 2222,
      user,
      hostKeys: ["ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB", hostKey.publicKey],
      identityFile: login.file,
      jump: { address: "192.0.2.1", port: 22, user: "me", hostKeys: [jumpKey.publicKey], identityFile: login.file },
      ...(sudoPasswordFile !== undefined && { sudoPasswordFile }),
    },
    clusterAddress: "192.0.2.11",
    sshPort: 2222,
    ...rest,
  };
};
const after: pulumi.Resource[] = [];
const parent = (): pulumi.ComponentResource => new pulumi.ComponentResource("convocate:index:Cluster", "test", {}, {});

async function declare(...machines: InventoryHost[]): Promise<Declared[]> {
  await declareHooks(
    machines.map((one) => ({ machine: one, after })),
    parent(),
    () => Promise.resolve(command),
  );
  for (let tries = 0; tries < 100 && declared.length < 1 + machines.flatMap(({ hooks = [] }) => hooks).length; tries++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  return declared.filter(({ type }) => type.startsWith("command:"));
}
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_key, part: unknown) =>
      typeof part === "object" && part !== null && "4dabf18193072939515e22adb298388d" in part && "value" in part
        ? part.value
        : part,
    ),
  );
/** What a hook's command does when it is given its input; here nobody is root by sudo. */
const run = ({ inputs }: Declared): string =>
  execFileSync("sh", ["-c", String(inputs["create"])], { input: String(plain(inputs["stdin"])), encoding: "utf8" });

test("without hooks the package is not even loaded", async () => {
  const load = (): Promise<never> => Promise.reject(new Error("loaded"));
  await declareHooks([{ machine: machine(), after }], parent(), load);
  expect(declared.map(({ type }) => type)).not.toContain("command:remote:Command");
});

test("a hook is a remote command with the pinned host key, no logging, and no output of the last run in its environment", async () => {
  const [hook] = await declare(machine({ hooks: [{ name: "greet", run: "echo hello", secrets: {} }] }));
  expect(hook).toMatchObject({ type: "command:remote:Command", name: "agent-1/hook-greet" });
  expect(plain(hook!.inputs)).toMatchObject({
    logging: "none",
    addPreviousOutputInEnv: false,
    connection: {
      host: "192.0.2.11",
      port: 2222,
      user: "root",
      hostKey: hostKey.publicKey,
      privateKey: login.privateKey,
      proxy: { host: "192.0.2.1", user: "me", hostKey: jumpKey.publicKey },
    },
  });
  // The whole connection is a secret, so the login's key is encrypted in the state.
  expect(JSON.stringify(hook!.inputs["connection"])).toContain("1b47061264138c4ac30d75fd1eb44270");
  expect(run(hook!)).toBe("hello\n");
});

test("secrets come by the input as environment, whatever is in them, and stand in no argument", async () => {
  const value = `it's "$HOME" \`id\`\nand a second line`;
  pulumi.runtime.setAllConfig({ "convocate:token": value }, ["convocate:token"]);
  const [hook] = await declare(
    machine({ hooks: [{ name: "join", run: 'printf %s "$TOKEN"', secrets: { TOKEN: "token" } }] }),
  );
  expect(String(hook!.inputs["create"])).not.toContain("HOME");
  expect(JSON.stringify(hook!.inputs["stdin"])).toContain("1b47061264138c4ac30d75fd1eb44270");
  expect(run(hook!)).toBe(value);
});

test("a secret that the stack does not have is told with the command that sets it", async () => {
  pulumi.runtime.setAllConfig({});
  const hooks = [{ name: "join", run: "true", secrets: { TOKEN: "token" } }];
  await expect(declare(machine({ hooks }))).rejects.toMatchObject({
    code: "BAD_INVENTORY",
    message: expect.stringContaining("script/pulumi config set --secret convocate:token --stack dev"),
  });
});

test("a user who is not root runs it through sudo, with the password by the input where sudo wants one", async () => {
  const hooks = [{ name: "greet", run: "id -un", secrets: {} }];
  const [unasked] = await declare(machine({ user: "admin", hooks }));
  expect(unasked!.inputs["create"]).toMatch(/^sudo -n -- sh /);
  const file = `${login.file}.sudo`;
  writeFileSync(file, "the-password\n", { mode: 0o600 });
  declared = [];
  const [asked] = await declare(machine({ user: "admin", sudoPasswordFile: file, hooks }));
  expect(asked!.inputs["create"]).toMatch(/^sudo -S -k /);
  expect(asked!.inputs["create"]).not.toContain("the-password");
  expect(plain(asked!.inputs["stdin"])).toMatch(/^the-password\n/);
});

test("hooks of this machine are local commands, and one after another on each host", async () => {
  const here: InventoryHost = { ...machine(), name: "here", host: { via: "local", name: "here" } };
  const hooks = ["one", "two"].map((name) => ({ name, run: `echo ${name}`, secrets: {} }));
  const found = await declare({ ...here, hooks });
  expect(found.map(({ type, name }) => `${type} ${name}`)).toEqual([
    "command:local:Command here/hook-one",
    "command:local:Command here/hook-two",
  ]);
});
