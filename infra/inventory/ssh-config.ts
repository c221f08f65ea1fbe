import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ConvocateError } from "../../runtime/domain/index.js";

/** What OpenSSH's client configuration says of a name; left out is what it does not say. */
export interface SshConfigured {
  /** HostName, or the name itself. */
  hostName: string;
  port?: number;
  user?: string;
  identityFile?: string;
  /** ProxyJump, as `[user@]host[:port]`. */
  jump?: string;
  /** Set where a ProxyCommand would have to be run, which we do not. */
  proxyCommand?: string;
}

const NOT_SET = "convocate-not-set";

/**
 * What `ssh` itself makes of a name: it alone knows its patterns, includes and matches. It also prints what was never
 * configured; as its first word on a thing counts, a last `Host *` of ours tells that apart.
 */
export function sshConfigured(name: string, file: string): SshConfigured {
  if (!existsSync(file)) return { hostName: name };
  // In a file, since ssh cannot open what Node gives as its standard input, which is a socket.
  const dir = mkdtempSync(join(tmpdir(), "convocate-ssh-"));
  const text = `Include "${file}"\nHost *\n  User ${NOT_SET}\n  IdentityFile /${NOT_SET}\n`;
  try {
    writeFileSync(join(dir, "config"), text);
    const argv = ["-G", "-F", join(dir, "config"), "--", name];
    return parseSshG(name, execFileSync("ssh", argv, { encoding: "utf8", timeout: 10_000, stdio: "pipe" }));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { hostName: name };
    const said =
      String((error as { stderr?: unknown }).stderr ?? error)
        .trim()
        .split("\n")[0] ?? "";
    throw new ConvocateError("BAD_INVENTORY", `ssh cannot read ${file}: ${said}`, { cause: error });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Parses what `ssh -G` printed: a keyword in small letters and its value a line. Pure. */
function parseSshG(name: string, text: string): SshConfigured {
  const values = (keyword: string): string[] =>
    text
      .split("\n")
      .filter((line) => line.startsWith(`${keyword} `))
      .map((line) => line.slice(keyword.length + 1).trim());
  const port = Number(values("port")[0] ?? 22);
  const user = values("user")[0];
  const [identity] = values("identityfile").filter((file) => file !== `/${NOT_SET}` && file !== "none");
  const [jump] = values("proxyjump").filter((value) => value !== "none");
  const [proxyCommand] = values("proxycommand").filter((value) => value !== "none");
  return {
    hostName: values("hostname")[0] ?? name,
    ...(port !== 22 && { port }),
    ...(user !== undefined && user !== NOT_SET && { user }),
    ...(identity !== undefined && { identityFile: resolve(identity.replace(/^(~|%d)(?=\/)/, homedir())) }),
    ...(jump !== undefined && { jump }),
    ...(proxyCommand !== undefined && { proxyCommand }),
  };
}

/** `[user@]host[:port]`, an IPv6 host in brackets; undefined for several in a row, which we do not follow. */
export function parseJump(text: string): { address: string; port?: number; user?: string } | undefined {
  const match = /^(?:ssh:\/\/)?(?:([^@,\s]+)@)?(?:\[([^\],]+)\]|([^:,\s]+))(?::(\d+))?$/.exec(text);
  const address = match?.[2] ?? match?.[3];
  if (!match || address === undefined) return undefined;
  return {
    address,
    ...(match[1] !== undefined && { user: match[1] }),
    ...(match[4] !== undefined && { port: Number(match[4]) }),
  };
}
