import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import type { Session, SessionId } from "../../runtime/domain/index.js";
import type { OpInput } from "../../runtime/protocol/rpc/ops.js";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { doorOf, rpcTo, running, type Door } from "../support/door.js";

const MIB = 1024 * 1024;
const SHARED = "/home/claude/.claude /home/claude/.ssh /home/claude/.gitconfig /home/claude/.local";
/** Made by the agent, beside the host's own login. */
const LOGIN = "/home/claude/.convocate-login";

let cluster: TestCluster;
let door: Door;
const made: SessionId[] = [];

const on = (script: string): Promise<string> => cluster.lab.sh("agent-1", script);
const container = ({ id }: Session): string => `convocate-session-${id}`;
const within = (session: Session, script: string): Promise<string> =>
  cluster.lab
    .exec("agent-1", ["docker", "exec", "-u", "1337", container(session), "bash", "-c", script])
    .then(({ stdout, stderr }) => (stdout + stderr).trim());

async function create(params: Partial<OpInput<"create">>): Promise<Session> {
  await using agent = await rpcTo(door);
  const { id } = await agent.rpc.call(
    "create",
    { request_id: randomUUID(), name: "inspected", start: true, limits: { memory_bytes: 512 * MIB }, ...params },
    { timeoutMs: 60_000 },
  );
  made.push(id);
  return await running(agent.rpc, id);
}

interface Inspected {
  Config: Record<string, unknown> & { Env: string[]; ExposedPorts?: unknown };
  HostConfig: Record<string, unknown>;
  NetworkSettings: { Ports: Record<string, { HostIp: string; HostPort: string }[]>; Networks: Record<string, unknown> };
}
const inspect = async (session: Session): Promise<Inspected> =>
  (JSON.parse(await on(`docker inspect ${container(session)}`)) as [Inspected])[0];

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  door = await doorOf(cluster, "agent-1");
  // What a service user who works on the host has, the CLI where its own installer puts it.
  await on(
    `cd /home/claude; rm -rf ${SHARED} ${LOGIN}; mkdir -p .claude .ssh .local/bin .local/share
     echo '{"claudeAiOauth":{"accessToken":"a"}}' >.claude/.credentials.json; echo '[user]' >.gitconfig
     cp /usr/bin/true .local/share/claude-9; ln -s ../share/claude-9 .local/bin/claude
     chmod 600 .claude/.credentials.json; chown -R claude:claude ${SHARED}`,
  );
}, 1_200_000);

afterAll(async () => {
  await using agent = await rpcTo(door);
  for (const id of made) await agent.rpc.call("delete", { id }, { timeoutMs: 60_000 });
  await on(`rm -rf ${SHARED} ${LOGIN}`);
  await cluster.close();
}, 120_000);

test("a session's container is what Docker was asked for, field by field", async () => {
  const session = await create({
    port: 18091,
    limits: { cpus: 0.25, memory_bytes: 512 * MIB, pids: 500 },
  });
  const { Config, HostConfig, NetworkSettings } = await inspect(session);
  const image = (await on("cat /etc/convocate-agent/current-image")).trim();
  expect(Config).toMatchObject({
    Hostname: `convocate-${session.id.slice(0, 8)}`,
    User: "",
    Tty: false,
    Image: image,
    WorkingDir: "/home/claude",
    Entrypoint: ["/usr/local/bin/convocate-entrypoint"],
    ExposedPorts: { "18091/tcp": {} },
    Labels: { "convocate.session": session.id },
    StopTimeout: 10,
  });
  expect(Config.Env).toEqual(
    expect.arrayContaining([
      "CONVOCATE_UID=1337",
      "CONVOCATE_GID=1337",
      "CONVOCATE_USER=claude",
      "CONVOCATE_SUDO=1",
      `CONVOCATE_SESSION_ID=${session.id}`,
      "CONVOCATE_SESSION_NAME=inspected",
    ]),
  );
  expect(HostConfig).toMatchObject({
    AutoRemove: false,
    Binds: null,
    CapAdd: null,
    CapDrop: ["NET_RAW", "MKNOD", "AUDIT_WRITE"],
    CgroupParent: "convocate-sessions.slice",
    Devices: null,
    Dns: expect.arrayContaining([cluster.lab.host("shell").address]),
    ExtraHosts: null,
    GroupAdd: null,
    Init: true,
    IpcMode: "private",
    Links: null,
    LogConfig: { Type: "journald", Config: { tag: session.id, labels: "convocate.session" } },
    Memory: 512 * MIB,
    MemorySwap: 512 * MIB,
    NanoCpus: 250_000_000,
    NetworkMode: "convocate",
    PidMode: "",
    PidsLimit: 500,
    PortBindings: { "18091/tcp": [{ HostIp: "127.0.0.1", HostPort: "18091" }] },
    Privileged: false,
    PublishAllPorts: false,
    RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
    SecurityOpt: null,
    UTSMode: "",
    UsernsMode: "",
    VolumesFrom: null,
  });
  // Docker has null where there is nothing to disable: on cgroup v2.
  expect(HostConfig["OomKillDisable"] ?? false).toBe(false);
  const mounts = HostConfig["Mounts"] as { Type: string; Source: string; Target: string; ReadOnly?: boolean }[];
  const ours = mounts.filter(({ Target }) => !Target.startsWith("/run/"));
  expect(ours.map(({ Type, Source, Target, ReadOnly = false }) => [Type, Source, Target, ReadOnly])).toEqual([
    ["bind", `/home/claude/${session.id}`, "/home/claude", false],
    ["bind", "/home/claude/.claude", "/home/claude/.claude-shared", true],
    ["bind", "/home/claude/.ssh", "/home/claude/.ssh", true],
    ["bind", "/home/claude/.gitconfig", "/home/claude/.gitconfig", true],
    ["bind", "/home/claude/.convocate-login", "/home/claude/.claude-login", false],
    ["bind", "/home/claude/.claude/.credentials.json", "/home/claude/.claude-login/.credentials.json", false],
    ["bind", "/home/claude/.local/share/claude-9", "/usr/local/bin/claude", true],
  ]);
  // Whatever else is mounted lets nothing be written to the host.
  for (const { Target, ReadOnly } of mounts.filter((one) => !ours.includes(one)))
    expect([Target, ReadOnly]).toEqual([Target, true]);
  expect(Object.keys(NetworkSettings.Networks)).toEqual(["convocate"]);
  expect(NetworkSettings.Ports).toEqual({ "18091/tcp": [{ HostIp: "127.0.0.1", HostPort: "18091" }] });
  const options = JSON.parse(await on("docker network inspect -f '{{json .Options}}' convocate")) as unknown;
  expect(options).toMatchObject({
    "com.docker.network.bridge.enable_icc": "false",
    "com.docker.network.bridge.name": "convocate0",
  });

  // What the login is after one session wrote it, the host and the next session have; what is shared cannot be written.
  expect(Config.Env).toContain("CLAUDE_SECURESTORAGE_CONFIG_DIR=/home/claude/.claude-login");
  const login = "~/.claude-login/.credentials.json";
  expect(await within(session, `echo new-token >${login} && cat ${login}`)).toBe("new-token");
  expect(
    (
      await on("cat /home/claude/.claude/.credentials.json; stat -c '%U %a' /home/claude/.claude/.credentials.json")
    ).trim(),
  ).toBe("new-token\nclaude 600");
  expect(await within(session, "echo x >~/.gitconfig; echo x >~/.claude-shared/x; touch ~/.ssh/x")).toMatch(
    /Read-only[^]*Read-only[^]*Read-only/,
  );
  expect(await within(session, "sudo id -u 2>/dev/null")).toBe("0");
  expect(await within(session, "test -e /var/run/docker.sock || echo none")).toBe("none");

  // Docker reads the journal back, and the journal knows whose line it is.
  await cluster.lab.exec("agent-1", [
    "docker",
    "exec",
    container(session),
    "sh",
    "-c",
    "echo a line of its log >/proc/1/fd/1",
  ]);
  await eventually("the line in Docker's log and in the journal", async () => {
    const docker = await on(`docker logs ${container(session)} 2>&1`);
    const journal = await on(`journalctl -q -o cat CONVOCATE_SESSION=${session.id}`);
    return docker.includes("a line of its log") && journal.includes("a line of its log");
  });
}, 240_000);

test("a public one is published everywhere, and one made with Docker's socket has it; without sudo there is nothing to gain", async () => {
  const session = await create({ name: "open", port: 18092, protocol: "udp", public: true, docker: true });
  const { HostConfig, NetworkSettings } = await inspect(session);
  expect(NetworkSettings.Ports["18092/udp"]).toContainEqual({ HostIp: "0.0.0.0", HostPort: "18092" });
  expect(HostConfig["Mounts"]).toContainEqual({
    Type: "bind",
    Source: "/var/run/docker.sock",
    Target: "/var/run/docker.sock",
  });
  expect(await within(session, "sudo curl -s --unix-socket /var/run/docker.sock http://d/_ping 2>/dev/null")).toBe(
    "OK",
  );

  const settings = "/etc/convocate-agent/settings.json";
  await on(
    `cp ${settings} /tmp/settings.json; sed -i 's/"sudo": true/"sudo": false/' ${settings}; systemctl restart convocate-agent`,
  );
  try {
    const plain = await eventually("a session without sudo", () =>
      create({ name: "plain" }).catch((error: unknown) => {
        // The agent is still coming up.
        if ((error as { code?: string }).code === "ADMISSION_DENIED") throw error;
        return false as const;
      }),
    );
    const inspected = await inspect(plain);
    expect(inspected.HostConfig).toMatchObject({
      CapAdd: ["SETUID", "SETGID"],
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
    });
    expect(await within(plain, "sed -n 's/^Cap\\(Prm\\|Eff\\|Inh\\|Amb\\):\\t//p' /proc/self/status | sort -u")).toBe(
      "0000000000000000",
    );
    expect(await within(plain, "sudo -n id -u")).not.toBe("0");
    await eventually(
      "its tmux",
      async () => (await within(plain, "tmux has-session -t =claude && echo yes")) === "yes",
    );
  } finally {
    await on(`cat /tmp/settings.json >${settings}; rm /tmp/settings.json; systemctl restart convocate-agent`);
    await eventually("the agent to be back", async () => {
      try {
        await using agent = await rpcTo(door);
        return (await agent.rpc.call("ping", {})).agent_id === door.agentId;
      } catch {
        return false;
      }
    });
  }
}, 240_000);
