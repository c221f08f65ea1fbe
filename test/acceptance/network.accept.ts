import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import type { Session } from "../../runtime/domain/index.js";
import type { OpInput } from "../../runtime/protocol/rpc/ops.js";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { doorOf, rpcTo, running, type Door } from "../support/door.js";

/** An address of the internet (TEST-NET-3, RFC 5737), held by the shell host and routed to it: nothing about it is private. */
const INTERNET = "203.0.113.77";
const PORT = 7777;

let cluster: TestCluster;
let door: Door;
let gateway: string;
let one: Session;
let two: Session;
const made: Session[] = [];

async function newSession(params: Partial<OpInput<"create">>): Promise<Session> {
  await using agent = await rpcTo(door);
  const { id } = await agent.rpc.call(
    "create",
    { request_id: randomUUID(), name: "net", start: true, limits: { memory_bytes: 512 * 1024 * 1024 }, ...params },
    { timeoutMs: 60_000 },
  );
  const session = await running(agent.rpc, id);
  made.push(session);
  return session;
}

const container = (session: Session): string => `convocate-session-${session.id}`;
const on = (host: string, script: string): Promise<string> => cluster.lab.sh(host, script);

/** Whether a TCP connection from inside the session comes about; a refusal and silence are both no. */
async function reaches(session: Session, address: string, port: number): Promise<boolean> {
  const { exitCode } = await cluster.lab.exec("agent-1", [
    "docker",
    "exec",
    "-u",
    "1337",
    container(session),
    "timeout",
    "3",
    "bash",
    "-c",
    `: </dev/tcp/${address}/${port}`,
  ]);
  return exitCode === 0;
}

const addressOf = async (session: Session): Promise<string> =>
  (
    await on("agent-1", `docker inspect -f '{{.NetworkSettings.Networks.convocate.IPAddress}}' ${container(session)}`)
  ).trim();

/** Something that listens inside a session, on every address it has. */
const listen = (session: Session, port: number): Promise<string> =>
  on(
    "agent-1",
    `docker exec -d -u 1337 ${container(session)} perl -MIO::Socket::INET -e ` +
      `'$s = IO::Socket::INET->new(LocalPort => ${port}, Listen => 5, ReuseAddr => 1) or die; while ($c = $s->accept) { print $c "hi\\n"; close $c }'`,
  );

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  gateway = cluster.lab.subnet.replace(/\.0\/24$/, ".1");
  door = await doorOf(cluster, "agent-1");
  one = await newSession({ name: "net-one", port: 18081 });
  two = await newSession({ name: "net-two", port: 18082, public: true });
  const shell = cluster.lab.host("shell").address;
  await on("shell", `ip address replace ${INTERNET}/32 dev lo`);
  await on("agent-1", `ip route replace ${INTERNET}/32 via ${shell}`);
  await on(
    "shell",
    `ufw allow ${PORT}/tcp >/dev/null; systemctl stop t-internet 2>/dev/null || :
     systemd-run --quiet --unit t-internet --collect python3 -m http.server ${PORT} --directory /srv`,
  );
}, 1_200_000);

afterAll(async () => {
  await using agent = await rpcTo(door);
  for (const { id } of made) await agent.rpc.call("delete", { id }, { timeoutMs: 60_000 });
  await on("agent-1", `ip route del ${INTERNET}/32 || :`);
  await on(
    "shell",
    `systemctl stop t-internet || :; ip address del ${INTERNET}/32 dev lo || :; ufw delete allow ${PORT}/tcp >/dev/null`,
  );
  await cluster.close();
}, 120_000);

describe("a session", () => {
  test("reaches the internet, and the range that egress opens", async () => {
    await eventually("the stand-in for the internet to listen", () => reaches(one, INTERNET, PORT));
    expect(await reaches(one, gateway, 8099)).toBe(true);
  }, 60_000);

  test("reaches no private address otherwise: not the next host, not another port of the one that egress names", async () => {
    const shell = cluster.lab.host("shell").address;
    // Both listen: what is refused below is refused by the rules.
    await on("agent-1", `timeout 3 bash -c ': </dev/tcp/${shell}/${PORT}'`);
    await on("agent-1", `timeout 3 bash -c ': </dev/tcp/${shell}/223'`);
    expect(await reaches(one, shell, PORT)).toBe(false);
    expect(await reaches(one, shell, 223)).toBe(false);
    expect(await reaches(one, gateway, 22)).toBe(false);
    expect(await reaches(one, cluster.lab.host("agent-2").address, 222)).toBe(false);
  }, 60_000);

  test("does not reach the agent, nor anything else of its host, at none of the host's addresses", async () => {
    const bridge = (
      await on("agent-1", "docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' convocate")
    ).trim();
    const host = cluster.lab.host("agent-1").address;
    for (const address of [bridge, host, "172.17.0.1"]) {
      await on("agent-1", `timeout 3 bash -c ': </dev/tcp/${address}/222'`);
      for (const port of [22, 222]) expect(await reaches(one, address, port)).toBe(false);
    }
  }, 60_000);

  test("does not reach the clouds' metadata, although something answers there", async () => {
    await on("shell", "ip address replace 169.254.169.254/32 dev lo");
    await on("agent-1", `ip route replace 169.254.169.254/32 via ${cluster.lab.host("shell").address}`);
    try {
      await on("agent-1", `timeout 3 bash -c ': </dev/tcp/169.254.169.254/${PORT}'`);
      expect(await reaches(one, "169.254.169.254", PORT)).toBe(false);
    } finally {
      await on("agent-1", "ip route del 169.254.169.254/32");
      await on("shell", "ip address del 169.254.169.254/32 dev lo");
    }
  }, 60_000);

  test("does not reach another one, whatever way: its address, its published port, at either end", async () => {
    await listen(two, 18082);
    await eventually("the second session to listen", () => reaches(two, "127.0.0.1", 18082));
    const address = await addressOf(two);
    await on("agent-1", `timeout 3 bash -c ': </dev/tcp/${address}/18082'`);
    expect(await reaches(one, address, 18082)).toBe(false);
    expect(await reaches(one, cluster.lab.host("agent-1").address, 18082)).toBe(false);
    // The agent-2 host asks by the same door that anybody would.
    await on("agent-2", `timeout 3 bash -c ': </dev/tcp/${cluster.lab.host("agent-1").address}/18082'`);
  }, 60_000);

  test("is reached from outside at a public port only, also by a neighbour that routes to it", async () => {
    await listen(one, 18081);
    await eventually("the first session to listen", () => reaches(one, "127.0.0.1", 18081));
    await on("agent-1", "timeout 3 bash -c ': </dev/tcp/127.0.0.1/18081'");
    const host = cluster.lab.host("agent-1").address;
    const from = (address: string, port: number) =>
      cluster.lab.exec("agent-2", ["timeout", "3", "bash", "-c", `: </dev/tcp/${address}/${port}`]);
    expect((await from(host, 18081)).exitCode).not.toBe(0);
    const address = await addressOf(one);
    await on("agent-2", `ip route replace ${address}/32 via ${host}`);
    try {
      expect((await from(address, 18081)).exitCode).not.toBe(0);
    } finally {
      await on("agent-2", `ip route del ${address}/32`);
    }
  }, 60_000);

  test("asks the shell for names, and gets those of the cluster", async () => {
    const hosts = "/var/lib/convocate/dnsmasq-hosts";
    const before = await on("shell", `cat ${hosts}`);
    const name = "t-network.session.test";
    await cluster.lab.exec("shell", ["tee", "-a", hosts], { input: `198.51.100.7 ${name}\n` });
    try {
      await on("shell", "systemctl kill -s HUP --kill-whom=main dnsmasq");
      await eventually("the name to be known in the session", async () => {
        const { stdout } = await cluster.lab.exec("agent-1", [
          "docker",
          "exec",
          "-u",
          "1337",
          container(one),
          "timeout",
          "5",
          "getent",
          "hosts",
          name,
        ]);
        return stdout.includes("198.51.100.7");
      });
    } finally {
      await cluster.lab.exec("shell", ["tee", hosts], { input: before });
      await on("shell", "systemctl kill -s HUP --kill-whom=main dnsmasq");
    }
  }, 60_000);
});

test("the rules are still there after Docker, ufw and they themselves were restarted", async () => {
  await on("agent-1", "systemctl restart docker convocate-firewall && ufw reload >/dev/null");
  await eventually("the session to be seen again", async () => {
    await using agent = await rpcTo(door);
    return (await agent.rpc.call("get", { id: one.id })).status.state === "running";
  });
  expect(await reaches(one, gateway, 22)).toBe(false);
  expect(await reaches(one, gateway, 8099)).toBe(true);
}, 120_000);
