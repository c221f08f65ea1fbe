import { isIP } from "node:net";
import type { SshLogin } from "../connection/types.js";
import type { KnownHosts } from "./known-hosts.js";
import type { InventoryFile } from "./schema.js";
import { parseJump, sshConfigured, type SshConfigured } from "./ssh-config.js";

interface Wish {
  address: string;
  port?: number | undefined;
  user?: string | undefined;
  identityFile?: string | undefined;
  hostKey?: string | undefined;
}
type Jump = NonNullable<InventoryFile["defaults"]["jump"]>;

/** How a host is logged in to. The inventory's word counts, then ~/.ssh/config's on an address that is a name, then what is usual. */
export class Logins {
  constructor(
    private readonly file: InventoryFile,
    private readonly knownHosts: KnownHosts,
    /** A path of the inventory, made absolute. */
    private readonly absolute: (path: string) => string,
  ) {}

  /** The login, and the jump host with it; `problem` is told what cannot be made of the ssh configuration. */
  of(entry: Wish & { jump?: Jump | undefined }, problem: (message: string) => void): SshLogin & { jump?: SshLogin } {
    const { defaults } = this.file;
    const configured = this.#configured(entry.address);
    const { address, port = defaults.port, user = defaults.user, identityFile = defaults.identityFile } = entry;
    const login = this.#login({ address, port, user, identityFile, hostKey: entry.hostKey }, configured);
    const jump = this.#jump(entry.jump ?? defaults.jump, configured, problem);
    return { ...login, ...(jump && { jump }) };
  }

  #configured(address: string): SshConfigured {
    if (isIP(address) !== 0) return { hostName: address };
    return sshConfigured(address, this.absolute(this.file.sshConfig));
  }

  #login(wish: Wish, configured: SshConfigured, usual: { user?: string; identityFile?: string } = {}): SshLogin {
    const port = wish.port ?? configured.port ?? 22;
    const named = wish.identityFile ?? (configured.identityFile === undefined ? usual.identityFile : undefined);
    const identityFile = named === undefined ? configured.identityFile : this.absolute(named);
    const byName = this.knownHosts.keysOf(wish.address, port);
    const known = byName.length > 0 ? byName : this.knownHosts.keysOf(configured.hostName, port);
    return {
      address: configured.hostName,
      port,
      user: wish.user ?? configured.user ?? usual.user ?? "root",
      hostKeys: wish.hostKey === undefined ? known : [keyOnly(wish.hostKey)],
      ...(identityFile !== undefined && { identityFile }),
    };
  }

  #jump(own: Jump | undefined, configured: SshConfigured, problem: (message: string) => void): SshLogin | undefined {
    if (own === "none") return undefined;
    if (!own && configured.proxyCommand !== undefined)
      problem("has a ProxyCommand in the ssh configuration, which is not run here: name its jump host with jump");
    if (!own && configured.jump === undefined) return undefined;
    const jump: Wish | undefined = own ?? parseJump(configured.jump ?? "");
    if (!jump) {
      problem(
        `has ProxyJump ${configured.jump ?? ""} in the ssh configuration, and there can be one: name it with jump`,
      );
      return undefined;
    }
    const { user, identityFile } = this.file.defaults;
    const usual = { ...(user !== undefined && { user }), ...(identityFile !== undefined && { identityFile }) };
    const login = this.#login(jump, this.#configured(jump.address), usual);
    if (login.hostKeys.length === 0)
      problem(
        `is reached through ${login.address}, which has no pinned host key: add jump with its hostKey, or its key to the ` +
          `knownHosts file`,
      );
    return login;
  }
}

/** Type and key without the comment, so that editing a comment changes no resource. */
function keyOnly(line: string): string {
  return line.split(" ").slice(0, 2).join(" ");
}
