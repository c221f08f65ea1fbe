import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { ConvocateError } from "../../../runtime/domain/index.js";
import { authorityProblem } from "../../../infra/host/certificates.js";
import {
  checkoutRoot,
  hostsOf,
  InventoryEdit,
  inventoryPath,
  readInventory,
  stackSetting,
} from "../../../infra/inventory/index.js";
import { configure, rollout } from "../../../infra/rollout/index.js";
import { withReached } from "./hosts.js";
import { counted, roll } from "./roll.js";

/** Of the stack's config; what the program reads (infra/main.ts). */
const CERT = "convocate:authorityCert";
const KEY = "convocate:authorityKey";

export interface Authority {
  certPem: string;
  /** Secret. */
  keyPem: string;
}

/** An authority from elsewhere, judged before any host is touched: REFUSED in one line that names the file. */
export async function readAuthority(certFile: string, keyFile: string): Promise<Authority> {
  const [certPem, keyPem] = await Promise.all([certFile, keyFile].map(readText));
  const problem = authorityProblem(certPem ?? "", keyPem ?? "", Date.now());
  if (problem) throw new ConvocateError("REFUSED", `${problem.of === "cert" ? certFile : keyFile} ${problem.says}`);
  // One certificate, as Node writes it: the file may hold more, and words before it.
  return { certPem: new X509Certificate(certPem ?? "").toString(), keyPem: keyPem ?? "" };
}

/** Whether the stack's authority is another than this one. */
export function isNewAuthority(stack: string, { certPem }: Authority): boolean {
  return stackSetting(checkoutRoot(), stack, CERT)?.trim() !== certPem.trim();
}

/** Puts the authority in the place of the stack's, with every certificate it had signed. */
export async function bringAuthority(stack: string, { certPem, keyPem }: Authority): Promise<void> {
  await replaceAuthority(stack, "the given authority", () =>
    // The key first: a certificate alone is not taken.
    configure(stack, { [KEY]: { secret: keyPem }, [CERT]: { plain: certPem } }),
  );
}

/** A new authority of our own in the place of the stack's. */
export async function rotateAuthority(stack: string): Promise<void> {
  await replaceAuthority(stack, "a new authority", async () => {
    const edit = InventoryEdit.open(inventoryPath(checkoutRoot(), stack));
    edit.nextAuthority();
    edit.save();
    if (stackSetting(checkoutRoot(), stack, CERT) !== undefined) await configure(stack, { [CERT]: null, [KEY]: null });
  });
}

/** Every agent's certificate is of the old authority, so all hosts take part, or none. */
async function replaceAuthority(stack: string, words: string, change: () => Promise<void>): Promise<void> {
  const path = inventoryPath(checkoutRoot(), stack);
  await withReached(hostsOf(readInventory(path)), async ({ unreachable }) => {
    if (unreachable.length > 0)
      throw new ConvocateError(
        "UNREACHABLE",
        `${unreachable.map(({ name }) => name).join(", ")} would be shut out of log forwarding: the authority was not replaced`,
      );
    await change();
    const inventory = readInventory(path);
    const done = await roll(rollout, { stack, inventory, leave: [] });
    process.stdout.write(`${inventory.cluster}: ${words}, and every certificate anew (${counted(done)})\n`);
  });
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? "is not there" : "cannot be read";
    throw new ConvocateError("BAD_USAGE", `${file} ${why}`, { cause: error });
  }
}
