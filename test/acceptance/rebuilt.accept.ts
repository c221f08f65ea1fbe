import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readFile, writeFile } from "node:fs/promises";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";

// A host that was made anew shows another host key. Pinned anew it is the same host; until then nobody talks to it.

let cluster: TestCluster;
let knownHosts: string;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  knownHosts = await readFile(cluster.lab.knownHostsPath, "utf8");
}, 1_200_000);

afterAll(async () => {
  await cluster.lab.sh(
    "agent-2",
    `cd /etc/ssh; [ ! -e t-old-key ] || { mv t-old-key ssh_host_ed25519_key; mv t-old-key.pub ssh_host_ed25519_key.pub; }
     systemctl restart ssh`,
  );
  await writeFile(cluster.lab.knownHostsPath, knownHosts);
  await cluster.close();
}, 120_000);

test("a host with a new host key is refused with both fingerprints; pinned anew, nothing differs and all works", async () => {
  const { address } = cluster.lab.host("agent-2");
  const fingerprints = await cluster.lab.sh(
    "agent-2",
    `cd /etc/ssh; mv ssh_host_ed25519_key t-old-key; mv ssh_host_ed25519_key.pub t-old-key.pub
     ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key; systemctl restart ssh
     for key in t-old-key ssh_host_ed25519_key; do ssh-keygen -lf $key.pub | cut -d ' ' -f 2; done`,
  );
  const [old = "", fresh = ""] = fingerprints.trim().split("\n");
  const refused = await cluster.pulumi(["preview", "--refresh"]);
  expect(refused.exitCode).not.toBe(0);
  for (const fingerprint of [old, fresh]) expect(refused.stdout).toContain(fingerprint);
  expect(refused.stdout).toContain("HOST_KEY_MISMATCH");

  const key = (await cluster.lab.sh("agent-2", "cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub")).trim();
  const others = knownHosts.split("\n").filter((line) => !line.startsWith(`${address} `));
  await writeFile(
    cluster.lab.knownHostsPath,
    [...others.filter((line) => line !== ""), `${address} ${key}`, ""].join("\n"),
  );
  const plan = await cluster.convocateHost(["plan", "--json"]);
  expect(plan).toMatchObject({ exitCode: 0 });
  expect(await cluster.up()).toMatch(/Resources:\s+\d+ unchanged/);
}, 600_000);
