import { InvalidArgumentError, type Command } from "commander";
import { DEFAULT_STACK, speakOf } from "../../output/stack.js";
import { portNumber } from "../port.js";
import type { HostKeyPolicy } from "./host-key.js";

/** What `init-shell` and `init-agent` have in common. */
export interface InitOptions {
  stack: string;
  host?: string;
  name?: string;
  user?: string;
  port?: number;
  identity?: string;
  hostKey?: string;
  acceptNewHostKey?: true;
}

/** What only one of them has. */
export interface RoleOptions extends InitOptions {
  shellHost?: true;
  rotateCa?: true;
  rotateKeys?: true;
  caCert?: string;
  caKey?: string;
}

/** A whole number from 1 to 50, the most hosts that a cluster has. */
export function count(text: string): number {
  const number = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > 50) throw new InvalidArgumentError("must be a number, 1 to 50");
  return number;
}

export function withStack(command: Command): Command {
  return command
    .option("--stack <stack>", "the stack, and so the inventory", DEFAULT_STACK)
    .hook("preAction", (_, chosen) => speakOf(chosen.opts<{ stack: string }>().stack))
    .option("--verbose", "print what caused an error");
}

export function withInitOptions(command: Command): Command {
  return withStack(command)
    .option("--host <host>", "name in the inventory, or address; this machine when left out")
    .option("--name <name>", "name for a host that is not in the inventory yet")
    .option("--user <user>", "login user: root, or one who may sudo without a password")
    .option("--port <port>", "tcp port of sshd", portNumber)
    .option("--identity <file>", "private key file to log in with; the SSH agent when left out")
    .option("--host-key <key>", "the host's key, as an OpenSSH public key line, or its fingerprint (SHA256:…)")
    .option("--accept-new-host-key", "pin the key that the host shows at the first contact, unseen");
}

export function withAuthorityOptions(command: Command): Command {
  return command
    .option("--ca-cert <file>", "certificate of an authority from elsewhere, to sign log forwarding's certificates")
    .option("--ca-key <file>", "its private key: PEM, RSA, not encrypted; kept in the stack's config, encrypted");
}

export function hostKeyPolicy(options: InitOptions): HostKeyPolicy {
  if (options.hostKey !== undefined) return { kind: "given", key: options.hostKey };
  return options.acceptNewHostKey ? { kind: "accept-new" } : { kind: "ask" };
}
