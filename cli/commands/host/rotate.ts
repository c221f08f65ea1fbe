import { agentKeyFiles, agentPaths, ConvocateError, shellPaths } from "../../../runtime/domain/index.js";
import { createPool, type Connection } from "../../../infra/connection/index.js";
import { agentsArgv } from "../../../infra/host/agents.js";
import { rotateKey } from "../../../infra/host/rotate.js";
import type { Inventory } from "../../../infra/inventory/index.js";
import { interruptSignal } from "../../output/run.js";

/** How long both channels may take to come back with their new keys. */
const BACK_SECONDS = 60;

/**
 * New keys for both directions between the shell host and an agent. `drop` is the rollout that takes the old ones from the
 * lists: connections made with them are closed by it, and come back with the new ones.
 */
export async function rotateKeys(inventory: Inventory, name: string, drop: () => Promise<void>): Promise<void> {
  const agent = inventory.agents.find((one) => one.name === name);
  if (!agent) throw new ConvocateError("BAD_USAGE", `${name} is no agent of the inventory`);
  await using pool = createPool();
  const [atAgent, atShell] = await Promise.all([
    pool.connect(agent.host, interruptSignal),
    pool.connect(inventory.shell.host, interruptSignal),
  ]);
  const id = (await atAgent.run(["cat", "--", agentPaths.agentId], { signal: interruptSignal })).stdout.trim();
  const group = inventory.service.user;
  await rotateKey(
    {
      holder: atAgent,
      path: agentPaths.agentToShellKey,
      comment: id,
      mode: "0600",
      group: "root",
      acceptor: atShell,
      authorizedKeys: shellPaths.authorizedKeys,
    },
    interruptSignal,
  );
  await rotateKey(
    {
      holder: atShell,
      path: `${shellPaths.agentKeys}/${id}/${agentKeyFiles.privateKey}`,
      comment: "convocate-shell",
      mode: "0640",
      group,
      acceptor: atAgent,
      authorizedKeys: agentPaths.authorizedKeys,
    },
    interruptSignal,
  );
  await drop();
  await untilBack(atShell, group, id, name);
  process.stdout.write(`${name}: both peering keys are new\n`);
}

async function untilBack(shell: Connection, user: string, id: string, name: string): Promise<void> {
  const { exitCode } = await shell.run(agentsArgv(user, [id], BACK_SECONDS), {
    allowFailure: true,
    timeoutMs: (BACK_SECONDS + 20) * 1000,
    signal: interruptSignal,
  });
  if (exitCode !== 0)
    throw new ConvocateError(
      "TIMEOUT",
      `${name} does not answer with its new keys after ${BACK_SECONDS} s: convocate-host doctor --host ${name} says why`,
    );
}
