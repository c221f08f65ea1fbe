import { createInterface } from "node:readline/promises";
import { ConvocateError } from "../../../runtime/domain/index.js";
import { scanHostKey } from "../../../infra/connection/index.js";

/** How a host's key may be accepted on the first contact. */
export type HostKeyPolicy =
  | { kind: "ask" }
  /** An OpenSSH public key line, or the fingerprint that the host must show. */
  | { kind: "given"; key: string }
  | { kind: "accept-new" };

const KEY_LINE = /^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) [A-Za-z0-9+/=]+/;
const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}=?$/;

/** The key to pin for a host that has none pinned: given, or shown by the host and accepted by the operator. */
export async function firstContact(
  at: Parameters<typeof scanHostKey>[0],
  policy: HostKeyPolicy,
  signal?: AbortSignal,
): Promise<string> {
  if (policy.kind === "given") {
    const line = KEY_LINE.exec(policy.key)?.[0];
    if (line !== undefined) return line;
    if (!FINGERPRINT.test(policy.key))
      throw new ConvocateError("BAD_USAGE", "--host-key takes an OpenSSH public key line, or a fingerprint (SHA256:…)");
  }
  const shown = await scanHostKey(at, signal);
  const place = `${at.name} (${at.address}:${at.port})`;
  const type = shown.line.split(" ")[0] ?? "";
  switch (policy.kind) {
    case "given":
      if (shown.fingerprint === policy.key.replace(/=$/, "")) return shown.line;
      throw new ConvocateError(
        "HOST_KEY_MISMATCH",
        `${place}: the host shows key ${shown.fingerprint} (${type}), but --host-key says ${policy.key}`,
      );
    case "accept-new":
      process.stderr.write(`${place}: pinning host key ${shown.fingerprint} (${type})\n`);
      return shown.line;
    case "ask":
      return await ask(place, `${shown.fingerprint} (${type})`, shown.line, signal);
  }
}

async function ask(place: string, key: string, line: string, signal?: AbortSignal): Promise<string> {
  if (!process.stdin.isTTY)
    throw new ConvocateError(
      "REFUSED",
      `${place}: its host key is ${key} and nobody is here to say whether that is right: compare it with the host's ` +
        "(ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub there) and give it with --host-key",
    );
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const question = `${place} shows host key ${key}.\nPin it? Compare it on the host first. [y/N] `;
    const answer = await terminal.question(question, signal ? { signal } : {});
    if (/^y(es)?$/i.test(answer.trim())) return line;
  } finally {
    terminal.close();
  }
  throw new ConvocateError("REFUSED", `${place}: its host key was not accepted; nothing was changed`);
}
