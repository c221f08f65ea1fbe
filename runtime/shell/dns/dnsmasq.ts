import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Makes dnsmasq read its hosts files again. One that does not run reads them when it starts, so that is no error. */
export async function reloadDnsmasq(): Promise<void> {
  const unit = "dnsmasq.service";
  const { stdout } = await run("systemctl", ["show", "--property=ActiveState", "--value", unit], { timeout: 10_000 });
  if (stdout.trim() !== "active") return;
  await run("systemctl", ["kill", "--signal=HUP", unit], { timeout: 10_000 });
}
