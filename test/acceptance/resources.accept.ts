import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { createPool, type ConnectionPool, type HostAddress } from "../../infra/connection/index.js";
import { agentId } from "../../infra/resources/agent-id/lifecycle.js";
import { dockerDaemon } from "../../infra/resources/docker-daemon/lifecycle.js";
import { files } from "../../infra/resources/files/lifecycle.js";
import { firewall } from "../../infra/resources/firewall/lifecycle.js";
import { keyPair } from "../../infra/resources/key-pair/lifecycle.js";
import { Answers } from "../../infra/resources/answers.js";
import type { LifecycleContext } from "../../infra/resources/lifecycle.js";
import { line } from "../../infra/resources/line/lifecycle.js";
import { packages } from "../../infra/resources/packages/lifecycle.js";
import { runtime } from "../../infra/resources/runtime/lifecycle.js";
import { serviceUser } from "../../infra/resources/service-user/lifecycle.js";
import { sessionFirewall } from "../../infra/resources/session-firewall/lifecycle.js";
import { slice } from "../../infra/resources/slice/lifecycle.js";
import { unit } from "../../infra/resources/unit/lifecycle.js";
import { runtimeVersion } from "../../infra/host/runtime.js";
import { labUp, type Lab } from "../lab/lab.js";

// Each kind of resource on a real host: made, found right, changed by hand, found wrong by name, repaired, removed.

let lab: Lab;
let pool: ConnectionPool;
const host = "agent-1";
let at: HostAddress;
let context: LifecycleContext;

beforeAll(async () => {
  lab = await labUp({ name: "t-resources", agents: 1 });
  const { address, port, user } = lab.host("agent-1");
  const known = readFileSync(lab.knownHostsPath, "utf8").split("\n");
  const hostKeys = known.filter((one) => one.startsWith(`${address} `)).map((one) => one.slice(address.length + 1));
  at = { via: "ssh", name: host, address, port, user, hostKeys, identityFile: lab.keyPath };
  pool = createPool();
  const hosts = { connect: (_name: string, signal?: AbortSignal) => pool.connect(at, signal) };
  context = {
    pool: hosts,
    signal: new AbortController().signal,
    answers: new Answers(),
    progress: () => undefined,
  };
}, 900_000);

afterAll(async () => {
  await pool[Symbol.asyncDispose]();
  await lab.down();
}, 120_000);

const on = (script: string): Promise<string> => lab.sh("agent-1", script);
const paths = (differences: readonly { path: string }[]): string[] => differences.map(({ path }) => path);

describe("Files", () => {
  const inputs = () =>
    files.inputs.parse({
      host,
      files: {
        "/etc/t-res": { type: "directory", mode: "0750" },
        "/etc/t-res/secret": { type: "file", content: "s3cret-content\n", mode: "0600" },
        "/etc/t-res/seeded": { type: "seed", content: "", mode: "0644" },
        "/etc/t-res/bin": { type: "file", content: "#!/bin/sh\necho\n".repeat(2000), mode: "755", group: "adm" },
      },
      reload: [["touch", "/run/t-res-reloaded"]],
    });

  test("are written whole with mode, owner and group, and a second look finds nothing to do", async () => {
    const { state } = await files.create(inputs(), context);
    expect(files.diff(state, inputs())).toEqual([]);
    const seen = await files.read(state, inputs(), context);
    expect(seen && files.diff(seen, inputs())).toEqual([]);
    expect(await on("stat -c '%a %U %G' /etc/t-res /etc/t-res/secret /etc/t-res/bin; ls -A /etc/t-res | wc -l")).toBe(
      "750 root root\n600 root root\n755 root adm\n3\n",
    );
    expect(JSON.stringify(state)).not.toContain("s3cret-content");
    await on("test -e /run/t-res-reloaded");
  });

  test("changed by hand are named one by one and repaired alone, and what a seed became is nobody's business", async () => {
    const { state } = await files.create(inputs(), context);
    const before = await on("stat -c %i /etc/t-res/bin");
    await on("chmod 0644 /etc/t-res/secret; echo mine > /etc/t-res/seeded; rm -f /run/t-res-reloaded");
    const seen = await files.read(state, inputs(), context);
    if (!seen) throw new Error("gone");
    expect(paths(files.diff(seen, inputs()))).toEqual(['files["/etc/t-res/secret"].mode']);
    const after = await files.update(seen, inputs(), context);
    expect(files.diff(after, inputs())).toEqual([]);
    expect(await on("stat -c %i /etc/t-res/bin")).toBe(before);
    expect(await on("cat /etc/t-res/seeded; stat -c %a /etc/t-res/secret; ls /run/t-res-reloaded")).toBe(
      "mine\n600\n/run/t-res-reloaded\n",
    );
  });

  test("whose command failed after them are found pending, and the command runs again", async () => {
    const failing = { ...inputs(), reload: [["/run/t-res-command"]] };
    await expect(files.create(failing, context)).rejects.toMatchObject({ code: "COMMAND_FAILED" });
    await on("printf '#!/bin/sh\\n: >/run/t-res-ran\\n' >/root/t-res-command; chmod 755 /root/t-res-command");
    const { state } = await files.create(inputs(), context);
    await expect(files.update({ ...state, pending: true }, failing, context)).rejects.toMatchObject({
      code: "COMMAND_FAILED",
    });
    const seen = await files.read(state, failing, context);
    if (!seen) throw new Error("gone");
    expect(paths(files.diff(seen, failing))).toEqual(["reload"]);
    const mended = { ...failing, reload: [["/root/t-res-command"]] };
    await files.update(seen, mended, context);
    await on("test -e /run/t-res-ran");
    const settled = await files.read(state, mended, context);
    expect(settled && files.diff(settled, mended)).toEqual([]);
  });

  test("that are declared no more are removed, and a directory that somebody uses stays", async () => {
    const { state } = await files.create(inputs(), context);
    await on("echo x >/etc/t-res/somebody-elses");
    await files.delete(state, context);
    expect(await on("ls -A /etc/t-res")).toBe("somebody-elses\n");
  });
});

describe("Line", () => {
  const of = (key: string, text: string) =>
    line.inputs.parse({ host, path: "/etc/t-res-lines", key, line: `${text} ${key}`, mode: "0644" });

  test("of several resources written at once all arrive, are replaced by key, and leave alone", async () => {
    const keys = Array.from({ length: 8 }, (_, i) => `agent${i}`);
    const made = await Promise.all(keys.map((key) => line.create(of(key, "first"), context)));
    await line.update(made[3]!.state, of("agent3", "second"), context);
    await line.delete(made[4]!.state, context);
    const text = await on("sort /etc/t-res-lines");
    expect(text).toBe(
      keys
        .filter((key) => key !== "agent4")
        .map((key) => `${key === "agent3" ? "second" : "first"} ${key}\n`)
        .sort()
        .join(""),
    );
    await on("sed -i /agent5/d /etc/t-res-lines; chmod 600 /etc/t-res-lines");
    const seen = await line.read(made[5]!.state, of("agent5", "first"), context);
    expect(seen && paths(line.diff(seen, of("agent5", "first")))).toEqual(["line", "ownership"]);
  });
});

describe("KeyPair", () => {
  const inputs = () =>
    keyPair.inputs.parse({ host, path: "/root/t-res-key", comment: "test", mode: "0640", group: "adm" });

  test("is made on the host, adopted afterwards, and its mode and public half are repaired", async () => {
    const { state } = await keyPair.create(inputs(), context);
    expect(state.publicKey).toMatch(/^ssh-ed25519 [A-Za-z0-9+/=]+$/);
    expect(keyPair.diff(state, inputs())).toEqual([]);
    expect((await keyPair.create(inputs(), context)).state.publicKey).toBe(state.publicKey);
    await on("chmod 0644 /root/t-res-key; echo ssh-ed25519 AAAA nobody >/root/t-res-key.pub");
    const seen = await keyPair.read(state, inputs(), context);
    if (!seen) throw new Error("gone");
    expect(paths(keyPair.diff(seen, inputs()))).toEqual(["privateKey.mode", "publicKey.content"]);
    const mended = await keyPair.update(seen, inputs(), context);
    expect(keyPair.diff(mended, inputs())).toEqual([]);
    expect(mended.publicKey).toBe(state.publicKey);
    expect(
      await on(
        "cut -d' ' -f1,2 /root/t-res-key.pub; stat -c '%a %G' /root/t-res-key; ls -A /root | grep -c keygen || :",
      ),
    ).toBe(`${state.publicKey}\n640 adm\n0\n`);
  });

  test("whose private key is gone is gone", async () => {
    const { state } = await keyPair.create(inputs(), context);
    await on("rm /root/t-res-key");
    expect(await keyPair.read(state, inputs(), context)).toBeNull();
    const { state: other } = await keyPair.create(inputs(), context);
    expect(other.publicKey).not.toBe(state.publicKey);
    await keyPair.delete(other, context);
  });
});

test("AgentId is adopted where one is, and put back when it is lost", async () => {
  const inputs = agentId.inputs.parse({ host });
  const { state } = await agentId.create(inputs, context);
  expect(state.agentId).toMatch(/^[a-z0-9]{8}$/);
  expect((await agentId.create(inputs, context)).state.agentId).toBe(state.agentId);
  await on("rm /etc/convocate-agent/agent-id");
  const seen = await agentId.read(state, inputs, context);
  if (!seen) throw new Error("gone");
  expect(paths(agentId.diff(seen, inputs))).toEqual(["agentId", "ownership"]);
  await agentId.update(seen, inputs, context);
  expect((await on("cat /etc/convocate-agent/agent-id")).trim()).toBe(state.agentId);
});

test("Unit runs, is restarted once for a changed trigger, and is repaired by name", async () => {
  const of = (trigger: string) =>
    unit.inputs.parse({
      host,
      unit: "t-res.service",
      content: "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n",
      triggers: { program: trigger },
    });
  const pid = async (): Promise<string> => (await on("systemctl show -p MainPID --value t-res.service")).trim();
  const { state } = await unit.create(of("one"), context);
  expect(unit.diff(state, of("one"))).toEqual([]);
  const first = await pid();
  expect(paths(unit.diff(state, of("two")))).toEqual(["triggers.program"]);
  const restarted = await unit.update(state, of("two"), context);
  expect(await pid()).not.toBe(first);
  await on("echo '# by hand' >>/etc/systemd/system/t-res.service; systemctl disable -q t-res.service");
  const seen = await unit.read(restarted, of("two"), context);
  if (!seen) throw new Error("gone");
  expect(paths(unit.diff(seen, of("two")))).toEqual(expect.arrayContaining(["content", "enabled"]));
  expect(unit.diff(await unit.update(seen, of("two"), context), of("two"))).toEqual([]);
  await unit.delete(restarted, context);
  expect((await lab.exec("agent-1", ["systemctl", "is-active", "t-res.service"])).stdout.trim()).toBe("inactive");
}, 60_000);

test("Unit that does not come up is an error with what it said", async () => {
  const inputs = unit.inputs.parse({
    host,
    unit: "t-res-bad.service",
    content: "[Service]\nExecStart=/bin/sh -c 'echo no such luck; exit 3'\nRestart=always\nRestartSec=5\n",
  });
  await expect(unit.create(inputs, context)).rejects.toMatchObject({ code: "COMMAND_FAILED" });
  await on("systemctl stop t-res-bad.service; rm /etc/systemd/system/t-res-bad.service; systemctl daemon-reload");
}, 60_000);

test("Slice has the host's own share, in the file and in the kernel's eyes", async () => {
  const inputs = slice.inputs.parse({ host, slice: "t-res.slice", cpuPercent: 90, memoryPercent: 50 });
  const { state } = await slice.create(inputs, context);
  expect(slice.diff(state, inputs)).toEqual([]);
  const cpus = Number(await on("nproc --all"));
  expect(state.cpuQuota).toBe(`${cpus * 90}%`);
  await on("systemctl set-property --runtime t-res.slice CPUQuota=10%");
  const seen = await slice.read(state, inputs, context);
  if (!seen) throw new Error("gone");
  expect(paths(slice.diff(seen, inputs))).toEqual(["cpuQuota"]);
  expect(slice.diff(await slice.update(seen, inputs, context), inputs)).toEqual([]);
  await slice.delete(state, context);
}, 60_000);

test("ServiceUser is made with its home, adopted, and an account of other numbers is refused", async () => {
  const of = (uid: number) => serviceUser.inputs.parse({ host, user: "tres", uid, gid: uid, home: "/home/tres" });
  const { state } = await serviceUser.create(of(4711), context);
  const seen = await serviceUser.read(state, of(4711), context);
  expect(seen && serviceUser.diff(seen, of(4711))).toEqual([]);
  await serviceUser.create(of(4711), context);
  expect(await on("stat -c '%a %u %g' /home/tres/.skel; id -u tres")).toBe("750 4711 4711\n4711\n");
  await expect(serviceUser.create(of(4712), context)).rejects.toMatchObject({ code: "REFUSED" });
});

test("DockerDaemon keeps what others set, and a running one is restarted only for the cgroup driver", async () => {
  const inputs = dockerDaemon.inputs.parse({ host });
  await on(`echo '{"exec-opts":["native.cgroupdriver=systemd"],"log-level":"warn"}' >/etc/docker/daemon.json`);
  const pid = (): Promise<string> => on("systemctl show -p MainPID --value docker.service");
  const before = await pid();
  const { state } = await dockerDaemon.create(inputs, context);
  expect(await pid()).toBe(before);
  const seen = await dockerDaemon.read(state, inputs, context);
  expect(seen && dockerDaemon.diff(seen, inputs)).toEqual([]);
  expect(JSON.parse(await on("cat /etc/docker/daemon.json"))).toEqual({
    "exec-opts": ["native.cgroupdriver=systemd"],
    "log-level": "warn",
    "live-restore": true,
  });
}, 60_000);

test("Firewall opens ssh before it goes up, keeps others' rules, and closes its own", async () => {
  const of = (...allow: string[]) => firewall.inputs.parse({ host, allow });
  await on("ufw allow 8080/tcp");
  const { state } = await firewall.create(of("22/tcp", "2222/tcp"), context);
  const seen = await firewall.read(state, of("22/tcp", "2222/tcp"), context);
  expect(seen && firewall.diff(seen, of("22/tcp", "2222/tcp"))).toEqual([]);
  // A new connection: the one we have would survive a firewall that lets nobody in.
  const fresh = createPool();
  await (await fresh.connect(at)).run(["true"]);
  await fresh[Symbol.asyncDispose]();
  const next = await firewall.update(state, of("22/tcp"), context);
  const status = await on("ufw status");
  expect(status).toContain("8080/tcp");
  expect(status).not.toContain("2222/tcp");
  await on("ufw --force disable");
  const off = await firewall.read(next, of("22/tcp"), context);
  expect(off && paths(firewall.diff(off, of("22/tcp")))).toEqual(["active"]);
  await firewall.update(off!, of("22/tcp"), context);
}, 60_000);

test("SessionFirewall is in the kernel before Docker starts, sees when it is not what was loaded, and leaves nothing", async () => {
  const of = (...egress: string[]) =>
    sessionFirewall.inputs.parse({
      host,
      egress,
      nameServers: ["192.0.2.10"],
      dnsHere: false,
      doors: [222],
      otherDoors: ["192.0.2.10:223"],
    });
  const { state } = await sessionFirewall.create(of(), context);
  const seen = await sessionFirewall.read(state, of(), context);
  expect(seen && sessionFirewall.diff(seen, of())).toEqual([]);
  expect(await on("systemctl show -p Before convocate-firewall.service")).toContain("docker.service");
  await on("nft flush chain inet convocate to_host");
  const drifted = await sessionFirewall.read(state, of(), context);
  expect(drifted && paths(sessionFirewall.diff(drifted, of()))).toEqual(["loaded"]);
  // Every form of egress is one that nft takes.
  const open = of("10.9.0.0/16", "192.168.1.20:5432/tcp", "10.8.0.1:53", "10.0.0.0/8:8000-8999/udp");
  const next = await sessionFirewall.update(drifted!, open, context);
  const again = await sessionFirewall.read(next, open, context);
  expect(again && sessionFirewall.diff(again, open)).toEqual([]);
  expect(await on("nft list chain inet convocate from_sessions")).toContain("udp dport 8000-8999 accept");
  await sessionFirewall.delete(next, context);
  expect(await on("nft list tables; ls /etc/systemd/system")).not.toContain("convocate");
}, 60_000);

test("Packages say what is missing, and install nothing that is there", async () => {
  const inputs = packages.inputs.parse({
    host,
    packages: ["tmux", "docker.io|docker-ce", "no-such-client|none-either?"],
  });
  const { state } = await packages.create(inputs, context);
  const seen = await packages.read(state, inputs, context);
  expect(seen && packages.diff(seen, inputs)).toEqual([]);
  const more = packages.inputs.parse({ host, packages: ["tmux", "no-such-package"] });
  expect(paths(packages.diff(state, more))).toEqual(['packages["no-such-package"]']);
});

test("Runtime arrives verified, runs, and is sent again when somebody changes it", async () => {
  const inputs = runtime.inputs.parse({ host, version: runtimeVersion() });
  const { state } = await runtime.create(inputs, context);
  expect(runtime.diff(state, inputs)).toEqual([]);
  expect((await on(`${state.path} --version`)).trim()).toBe(`v${runtimeVersion()}`);
  await on(`printf x | dd of=${state.path} bs=1 seek=1000 conv=notrunc status=none`);
  const seen = await runtime.read(state, inputs, context);
  if (!seen) throw new Error("gone");
  expect(paths(runtime.diff(seen, inputs))).toEqual(["binary.content"]);
  const mended = await runtime.update(seen, inputs, context);
  expect(runtime.diff(mended, inputs)).toEqual([]);
}, 180_000);
