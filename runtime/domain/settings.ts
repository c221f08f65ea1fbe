import { z } from "zod";
import { RESERVED_PORTS } from "./session.js";
import { Labels } from "./labels.js";

/**
 * `/etc/convocate-agent/settings.json`: what the inventory says of one agent, written by provisioning, read by the agent
 * at start. Every field has the default of SPEC 2, 6 and 7.
 */
export const AgentSettings = z.object({
  name: z.string().min(1).max(64),
  user: z.string().default("claude"),
  uid: z.int().min(1).default(1337),
  gid: z.int().min(1).default(1337),
  home: z.string().startsWith("/").default("/home/claude"),
  /** Ports that the host's own services listen on, wherever the inventory has put them: no session publishes one. */
  reserved_ports: z.array(z.int().min(1).max(65535)).default([...RESERVED_PORTS]),
  /** What `ping` tells, for whoever chooses an agent by them. */
  labels: Labels.default({}),
  session: z
    .object({
      sudo: z.boolean().default(true),
      /** Environment of every session's container. Nothing secret: `docker inspect` shows it to root on the host. */
      env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string()).default({}),
      /**
       * The cluster's name servers, asked before the host's own; `gateway` is this host as its sessions see it. Docker's
       * choice when empty.
       */
      dns: z.array(z.union([z.ipv4(), z.literal("gateway")])).default([]),
      /** Default limits; memory doubles as the baseline of SPEC 7 (2 GiB). */
      limits: z.object({ memory_bytes: z.int().default(2 * 1024 ** 3), pids: z.int().default(4096) }).prefault({}),
    })
    .prefault({}),
  /** Admission (SPEC 7): what of the host sessions may pledge together, and what one pledges that has no limit of its own. */
  capacity: z
    .object({
      cpu_percent: z.int().min(1).max(100).default(90),
      memory_percent: z.int().min(1).max(100).default(90),
      disk_percent: z.int().min(1).max(100).default(90),
      /** Cores. */
      cpus: z.number().positive().default(0.5),
      disk_bytes: z
        .int()
        .positive()
        .default(5 * 1024 ** 3),
    })
    .prefault({}),
});
export type AgentSettings = z.infer<typeof AgentSettings>;

/** The settings of sessions and admission as an agent applies them now: bytes, cores, percentages of the host. */
export const EffectiveSettings = z.object({
  cpu_percent: z.int(),
  memory_percent: z.int(),
  disk_percent: z.int(),
  cpus: z.number(),
  memory_bytes: z.int(),
  disk_bytes: z.int(),
  pids: z.int(),
});
export type EffectiveSettings = z.infer<typeof EffectiveSettings>;

/**
 * What `settings-set` may change while the agent runs: kept in `/var/lib/convocate-agent/settings.json` over what the stack
 * says, so that a rollout neither sees drift nor takes it back. Null takes a change back.
 */
export const SettingsChange = z.object({
  cpu_percent: z.int().min(1).max(100).nullish(),
  memory_percent: z.int().min(1).max(100).nullish(),
  disk_percent: z.int().min(1).max(100).nullish(),
  cpus: z.number().positive().max(1024).nullish(),
  memory_bytes: z
    .int()
    .min(64 * 1024 * 1024)
    .nullish(),
  disk_bytes: z
    .int()
    .min(1024 * 1024)
    .nullish(),
  pids: z.int().min(16).max(4_194_304).nullish(),
  /** The agent takes no new sessions: none is made, copied or moved there. Those it has go on, and may be restarted. */
  cordoned: z.boolean().nullish(),
});
export type SettingsChange = z.infer<typeof SettingsChange>;
/** As it is asked for: what nobody knows is refused, so that a mistyped name changes nothing in silence. */
export const SettingsWanted = SettingsChange.strict();
