import { readFile } from "node:fs/promises";
import ssh2 from "ssh2";
import { ConvocateError } from "../../runtime/domain/index.js";
import type { HostAddress } from "./types.js";

export type SshHost = Extract<HostAddress, { via: "ssh" }>;

/** The host that another is reached through, as one to log in to. */
export function jumpHost(host: SshHost): SshHost | undefined {
  return host.jump && { via: "ssh", name: `${host.name}'s jump host`, ...host.jump };
}

/** What we log in with: a private key's text, or the socket of an SSH agent. */
export type Credentials = { privateKey: Buffer } | { agent: string };

/** For messages: `admin@agent-1 (10.0.0.2:22)`. */
export function place(host: SshHost): string {
  const address = host.address.includes(":") ? `[${host.address}]` : host.address;
  return `${host.user}@${host.name} (${address}:${host.port})`;
}

/** The key file when one is named and can be used alone, else the SSH agent; AUTH_REJECTED when there is neither. */
export async function credentialsFor(host: SshHost, env: NodeJS.ProcessEnv = process.env): Promise<Credentials> {
  const agent = env["SSH_AUTH_SOCK"];
  if (host.identityFile === undefined) {
    if (agent) return { agent };
    throw new ConvocateError(
      "AUTH_REJECTED",
      `${place(host)}: no key to log in with: name one (identityFile in the inventory), or start an SSH agent`,
    );
  }
  const privateKey = await readFile(host.identityFile).catch((error: unknown) => {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? "is not there" : "cannot be read";
    throw new ConvocateError("AUTH_REJECTED", `${place(host)}: the key file ${host.identityFile ?? ""} ${why}`, {
      cause: error,
    });
  });
  if (!(ssh2.utils.parseKey(privateKey) instanceof Error)) return { privateKey };
  // Encrypted, most likely: its owner will have loaded it into the agent.
  if (agent) return { agent };
  throw new ConvocateError(
    "AUTH_REJECTED",
    `${place(host)}: the key file ${host.identityFile} is encrypted or no private key: load it into an SSH agent`,
  );
}
