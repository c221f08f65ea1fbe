import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { KEY, OTHER_KEY, testFolder } from "../../test/support/inventory.js";
import { parseInventory } from "./read.js";

const { path: directory, file } = testFolder();

test("a jump host is logged in to as the inventory says, and a host may do without the one of the defaults", () => {
  const inventory = parseInventory(
    `cluster: c
defaults: { user: admin, identityFile: /k, jump: { address: 192.0.2.1, hostKey: ${OTHER_KEY} } }
shell: { name: s, address: 10.0.0.1, hostKey: ${KEY} }
agents: [{ name: a, address: 10.0.0.2, hostKey: ${KEY}, jump: none }]
`,
    join(directory, "jump.yaml"),
  );
  expect(inventory.shell.host).toMatchObject({
    jump: { address: "192.0.2.1", port: 22, user: "admin", hostKeys: [OTHER_KEY], identityFile: "/k" },
  });
  expect(inventory.agents[0]?.host).not.toHaveProperty("jump");
});

describe("addresses that are names in the ssh configuration", () => {
  const sshConfig = (): string =>
    file(
      "ssh_config",
      `Host worker\n  HostName 10.0.0.7\n  User me\n  Port 2222\n  IdentityFile ~/.ssh/work\n  ProxyJump you@bastion:2200\n` +
        `Host two-jumps\n  ProxyJump a,b\nHost by-command\n  ProxyCommand nc %h %p\n`,
    );
  const parsed = (rest: string): ReturnType<typeof parseInventory> =>
    parseInventory(
      `cluster: c\nsshConfig: ${sshConfig()}\nknownHosts: ${file("kh", `[bastion]:2200 ${OTHER_KEY}\n[worker]:2222,worker,10.0.0.8 ${KEY}\n`)}\n${rest}`,
      join(directory, "ssh.yaml"),
    );

  test("are what ssh makes of them", () => {
    const { host, clusterAddress } = parsed("shell: { name: s, address: worker }\n").shell;
    expect(clusterAddress).toBe("10.0.0.7");
    expect(host).toEqual({
      via: "ssh",
      name: "s",
      address: "10.0.0.7",
      port: 2222,
      user: "me",
      hostKeys: [KEY],
      identityFile: join(homedir(), ".ssh/work"),
      jump: { address: "bastion", port: 2200, user: "you", hostKeys: [OTHER_KEY] },
    });
  });

  test("and the inventory's own words count more", () => {
    const { host } = parsed(
      "defaults: { user: admin }\nshell: { name: s, address: worker, port: 22, jump: none }\n",
    ).shell;
    expect(host).toMatchObject({ address: "10.0.0.7", port: 22, user: "admin" });
    expect(host).not.toHaveProperty("jump");
  });

  test("what cannot be done of them is told with the line", () => {
    const agent = (name: string): string => `agents: [{ name: a, address: ${name}, hostKey: ${KEY} }]\n`;
    const problem = (name: string) => () => parsed(`shell: { name: s, address: 10.0.0.8 }\n${agent(name)}`);
    expect(problem("two-jumps")).toThrow(/:5:30: agents\[0\] \(a\) has ProxyJump a,b in the ssh configuration/);
    expect(problem("by-command")).toThrow(/has a ProxyCommand in the ssh configuration, which is not run here/);
  });
});
