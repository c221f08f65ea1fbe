import { createPool } from "../connection/index.js";
import { checkoutRoot, hostsOf, inventoryPath, readInventory } from "../inventory/index.js";
import { lifecycles } from "../resources/index.js";
import { startProvider } from "./start.js";

/** How often we look whether the engine is still our parent: one that was killed cannot tell us to stop. */
const PARENT_CHECK_MS = 1_000;

const engine = process.ppid;
const provider = await startProvider({
  lifecycles,
  pool: createPool(),
  // By the stack's own file, not by the provider's configuration: a refresh has only what the state remembers of that.
  readHosts: (stack) => hostsOf(readInventory(inventoryPath(checkoutRoot(), stack))).map(({ host }) => host),
  // `convocate-host remove --force` of a host that will not come back.
  gone: (process.env["CONVOCATE_GONE_HOSTS"] ?? "").split(",").filter((name) => name !== ""),
  // `convocate-host remove --purge`.
  purge: process.env["CONVOCATE_PURGE"] === "true",
  engineAddress: process.argv[2],
});

let stopping = false;
const stop = (exitCode: number): void => {
  if (stopping) return;
  stopping = true;
  // A host that does not answer the goodbye must not keep us.
  setTimeout(() => process.exit(exitCode), 3_000).unref();
  void provider.close().finally(() => process.exit(exitCode));
};
// The engine ends its plugins with Cancel, then SIGINT, and waits 5 s; Ctrl-C in a terminal does not come here, since
// plugins have a process group of their own.
process.once("SIGINT", () => stop(0));
process.once("SIGTERM", () => stop(143));
setInterval(() => {
  if (process.ppid !== engine) stop(1);
}, PARENT_CHECK_MS).unref();

process.stdout.write(`${provider.port}\n`);
