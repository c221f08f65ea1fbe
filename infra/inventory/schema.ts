import { z } from "zod";
import { AGENT_PORT, LabelKey, LabelValue, SHELL_PORT } from "../../runtime/domain/index.js";

const Name = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "must be a host name label: a-z, 0-9 and -");
const Port = z
  .int("must be a port, 1 to 65535")
  .min(1, "must be a port, 1 to 65535")
  .max(65535, "must be a port, 1 to 65535");
const Percent = z
  .int("must be a percentage, 1 to 100")
  .min(1, "must be a percentage, 1 to 100")
  .max(100, "must be a percentage, 1 to 100");
/** A host name whose last label is all digits is an IPv4 address that somebody mistyped (RFC 3696, 2). */
const HostName = z.hostname().refine((name) => !/(^|\.)\d+$/.test(name));
const Reachable = z.union([z.ipv4(), z.ipv6(), HostName], { error: "must be an IP address or a host name" });
/** An IPv4 or IPv6 address or a host name; `local` is this machine. */
const Address = z.union([z.literal("local"), Reachable], { error: "must be an IP address, a host name, or local" });
const EnvName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be a variable's name");

/** It stands in a unit file and in shell scripts of root. */
const HomePath = z
  .string()
  .regex(/^(\/[A-Za-z0-9_][A-Za-z0-9._-]*)+$/, "must be an absolute path of letters, digits, . _ and -");
/** A range of IPv4 addresses, all of it or some of its ports. */
const Egress = z.string().refine(isEgress, "must be as 192.168.1.0/24, 192.168.1.20:5432 or 10.0.0.0/8:8000-8999/tcp");

function isEgress(text: string): boolean {
  const [, address, length = "32", from = "1", to = from] =
    /^([\d.]+)(?:\/(\d{1,2}))?(?::(\d{1,5})(?:-(\d{1,5}))?(?:\/(?:tcp|udp))?)?$/.exec(text) ?? [];
  const ports = [Number(from), Number(to)] as const;
  return (
    z.ipv4().safeParse(address).success &&
    Number(length) <= 32 &&
    1 <= ports[0] &&
    ports[0] <= ports[1] &&
    ports[1] <= 65535
  );
}

const EnvValue = z.string().regex(/^[^\0]*$/, "must not have a NUL in it");

const User = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$/, "must be a user's name");
/** A host key, pinned; else the inventory's `knownHosts` file must have it. */
const PublicKey = z
  .string()
  .regex(
    /^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa|rsa-sha2-(256|512)) [A-Za-z0-9+/=]+( .*)?$/,
    "must be an OpenSSH public key line",
  );

/** The host to go through where others cannot be reached directly, as ssh's ProxyJump. */
const Jump = z.strictObject({
  address: Reachable,
  port: Port.optional(),
  user: User.optional(),
  identityFile: z.string().min(1).optional(),
  hostKey: PublicKey.optional(),
});

/** A command of the operator's own. */
const Hook = z.strictObject({
  name: Name,
  /** What root's `sh -eu` runs, once the host is provisioned. */
  run: z
    .string()
    .min(1)
    .regex(/^[^\0]*$/, "must not have a NUL in it"),
  /** Environment variables by the names of the stack's secrets (`pulumi config set --secret convocate:NAME`). */
  secrets: z
    .record(EnvName, z.string().regex(/^[A-Za-z0-9_.-]+$/, "must be a name in the stack's config, without convocate:"))
    .default({}),
});

/** What every host may say, and `defaults` for all of them. */
const HostSettings = z.strictObject({
  /** Login user; root, or one who may sudo. Default root. */
  user: User,
  /** tcp port of sshd. Default 22. */
  port: Port,
  /** Private key file, relative to the inventory; the SSH agent when left out. */
  identityFile: z.string().min(1),
  /** File whose first line is the password that sudo asks the login user for, relative to the inventory; mode 0600. */
  sudoPasswordFile: z.string().min(1),
  /** `none` for a host that is reached directly though `defaults` or ~/.ssh/config name a jump host. */
  jump: z.union([z.literal("none"), Jump], { error: "must be none, or address, port, user, identityFile and hostKey" }),
  /** Run in this order; a host's own follow those of `defaults`. */
  hooks: z.array(Hook).max(20),
  /** As `Europe/Berlin`; what the host has when left out. */
  timeZone: z.string().regex(/^[A-Za-z0-9_+-]+(\/[A-Za-z0-9_+-]+){0,2}$/, "must be a time zone, as Europe/Berlin"),
});

const SessionSettings = z.strictObject({
  sudo: z.boolean(),
  env: z.record(EnvName, EnvValue),
  memoryBytes: z.int().min(64 * 1024 * 1024),
  pids: z.int().min(16),
  /** Cores that a session without a limit counts for; no cap. Default 0.5 (SPEC 7). */
  cpus: z.number().positive().max(1024),
  /** Disk that a running session counts for. Default 5 GiB. */
  diskBytes: z.int().min(1024 * 1024),
});

const AgentOnly = z.strictObject({
  /** Share of the host that the slice may use, and that sessions may pledge. Default 90 each (SPEC 7). */
  cpuPercent: Percent,
  memoryPercent: Percent,
  /** Share of the homes' file system that sessions may pledge. Default 90. */
  diskPercent: Percent,
  /** What an agent is chosen by: `convocate new --label`, `convocate-host update --label`. Those of `defaults` count too. */
  labels: z.record(LabelKey, LabelValue),
  /** Private ranges that sessions may reach: `192.168.1.0/24`, `192.168.1.20:5432/tcp`. Default none. */
  egress: z.array(Egress),
  session: SessionSettings.partial(),
});

const HostIdentity = z.strictObject({
  name: Name,
  /** Where this machine reaches it; `local` when it is this machine. */
  address: Address,
  /** Where the cluster's other hosts reach it. Default the address; needed for a `local` host with others beside it. */
  clusterAddress: Reachable.optional(),
  hostKey: PublicKey,
});

const Shell = HostIdentity.partial({ hostKey: true })
  .extend(HostSettings.partial().shape)
  .extend({
    /** tcp port of convocate-status, where agents report to. Default 223. */
    statusPort: Port.default(SHELL_PORT),
  });
const Agent = HostIdentity.partial({ hostKey: true })
  .extend(HostSettings.partial().shape)
  .extend(AgentOnly.partial().shape)
  .extend({
    /** tcp port of convocate-agent. Default 222. */
    agentPort: Port.default(AGENT_PORT),
    /** Holds it at that release: a rollout from a checkout of another leaves what runs there as it is. */
    release: z
      .string()
      .regex(/^v?[0-9A-Za-z][0-9A-Za-z.+-]*$/, "must be a release, as 3.0.1")
      .optional(),
  });

/** `infra/stacks/<stack>.yaml`: the hosts of one cluster. Parsed by `readInventory`, which tells every problem with its line. */
export const InventoryFile = z.strictObject({
  cluster: Name,
  /** OpenSSH known_hosts file with the hosts' pinned keys, relative to the inventory. */
  knownHosts: z.string().min(1).optional(),
  /** OpenSSH client configuration for hosts whose address is a name, relative to the inventory. */
  sshConfig: z.string().min(1).default("~/.ssh/config"),
  shell: Shell,
  agents: z.array(Agent).max(50).default([]),
  defaults: HostSettings.extend(AgentOnly.shape).partial().default({}),
  /** The service user (SPEC 2). */
  service: z
    .strictObject({
      user: z
        .string()
        .regex(/^[a-z_][a-z0-9_-]{0,31}$/)
        .default("claude"),
      uid: z.int().min(100).max(60000).default(1337),
      gid: z.int().min(100).max(60000).default(1337),
      home: HomePath.default("/home/claude"),
    })
    .prefault({}),
  /** Of log forwarding. */
  certificates: z
    .strictObject({
      /** Another number replaces the authority and every certificate; `init-shell --rotate-ca` counts it up. Default 1. */
      generation: z.int().min(1).default(1),
    })
    .prefault({}),
  image: z
    .strictObject({
      /** Base image; made from Debian packages when left out. */
      base: z
        .string()
        .regex(/^[A-Za-z0-9][A-Za-z0-9._/:@-]*$/, "must be an image as Docker names one")
        .optional(),
      /** `<semver>` of the tag `convocate:<semver>`; default the release. */
      version: z
        .string()
        .regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/, "must be a semantic version")
        .optional(),
    })
    .prefault({}),
});
export type InventoryFile = z.infer<typeof InventoryFile>;
