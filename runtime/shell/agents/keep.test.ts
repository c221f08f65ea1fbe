import { expect, test } from "@jest/globals";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../../../test/support/eventually.js";
import { newAgentId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { newKeyPair } from "../../../test/support/keys.js";
import { serveSsh } from "../../protocol/ssh/server.js";
import { keepConnections } from "./keep.js";

test("every registered agent has a connection of the shell's, and none once it is taken away", async () => {
  const dir = await mkdtemp(join(tmpdir(), "convocate-keep-"));
  const [host, shell] = [newKeyPair("host"), newKeyPair("shell")];
  await writeFile(join(dir, "host"), host.privateKey, { mode: 0o600 });
  await writeFile(join(dir, "authorized"), `${shell.publicKey}\n`);
  const seen: string[] = [];
  await using server = await serveSsh({
    address: "127.0.0.1",
    port: 0,
    hostKeyPath: join(dir, "host"),
    authorizedKeysPath: join(dir, "authorized"),
    subsystems: {},
    log: silentLog,
    onPeer: (_peer, state) => void seen.push(state),
  });
  const folder = join(dir, "agents", newAgentId());
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "agent-host"), `127.0.0.1:${server.port}\n`);
  await writeFile(join(folder, "host_key.pub"), `${host.publicKey}\n`);
  await writeFile(join(folder, "shell_to_agent_ed25519_key"), shell.privateKey);
  const saw = (count: number): Promise<true> => eventually(`connection ${count}`, () => seen.length >= count);
  await using _kept = await keepConnections({ directory: join(dir, "agents"), log: silentLog });
  await saw(1);
  expect(seen).toEqual(["connected"]);
  await rm(folder, { recursive: true });
  await saw(2);
  expect(seen).toEqual(["connected", "closed"]);
  await rm(dir, { recursive: true });
}, 30_000);
