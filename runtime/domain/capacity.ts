import { z } from "zod";

/** Processors in cores, memory and disk in bytes. */
export const Resources = z.object({
  cpus: z.number().min(0),
  memory_bytes: z.number().min(0),
  disk_bytes: z.number().min(0),
});
export type Resources = z.infer<typeof Resources>;

/** What one agent has, has promised and uses (SPEC 7). */
export const Capacity = z.object({
  /** The host's own. */
  total: Resources,
  /** What its sessions may have together: the percentages of `total`. */
  allowed: Resources,
  /** What the containers in the slice pledge: their limits, or the agent's baseline. */
  pledged: Resources.extend({ sessions: z.int().min(0) }),
  /** Live use of the slice; cores are an average since the last question. Null where it cannot be read. */
  used: z.object({
    cpus: z.number().min(0).nullable(),
    memory_bytes: z.number().min(0).nullable(),
    disk_bytes: z.number().min(0).nullable(),
  }),
  /** It takes no new sessions, as an operator wanted (`settings-set`); never so on an agent of an earlier release. */
  cordoned: z.boolean().default(false),
  /** What an operator should know: cgroup v1, a slice without limits, a foreign cgroup driver. */
  warnings: z.array(z.string()),
});
export type Capacity = z.infer<typeof Capacity>;
