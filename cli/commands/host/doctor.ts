import type { Labels } from "../../../runtime/domain/index.js";
import { checkoutRoot, hostsOf, inventoryPath, readInventory } from "../../../infra/inventory/index.js";
import { diagnose, type Finding } from "../../../infra/doctor/index.js";
import type { Unreachable } from "../../../infra/rollout/index.js";
import { findingsJson, findingsText } from "../../output/findings.js";
import { interruptSignal } from "../../output/run.js";
import { chosenHosts, withReached } from "./hosts.js";

export interface DoctorOptions {
  stack: string;
  host?: string;
  label?: Labels;
  json?: true;
}

/** The diagnostic walk; exit code 1 when anything fails, 3 when a host cannot be reached. */
export async function doctor(options: DoctorOptions): Promise<void> {
  const inventory = readInventory(inventoryPath(checkoutRoot(), options.stack));
  const asked = chosenHosts(inventory, options);
  const names = new Set(asked.map(({ name }) => name));
  const concerned = hostsOf(inventory).filter(({ name }) => names.has(name) || name === inventory.shell.name);
  await withReached(concerned, async ({ connections, unreachable }) => {
    const found = await diagnose(inventory, connections, interruptSignal);
    const about = (host: string, check: string): boolean =>
      names.has(host) || [...names].some((name) => check === `agent ${name}`);
    const findings = [...unreachable.map(silent), ...found].filter(({ host, check }) => about(host, check));
    process.stdout.write(options.json ? findingsJson(options.stack, findings) : findingsText(findings));
    if (unreachable.length === 0 && findings.some(({ level }) => level === "fail")) process.exitCode = 1;
  });
}

function silent({ name, error }: Unreachable): Finding {
  return { host: name, check: "reach", level: "fail", says: error.message, mend: `convocate-host plan --host ${name}` };
}
