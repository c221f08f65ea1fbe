import { z } from "zod";

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
  session: z
    .object({
      sudo: z.boolean().default(true),
      /** Environment of every session's container. Nothing secret: `docker inspect` shows it to root on the host. */
      env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string()).default({}),
      /** Default limits; memory doubles as the baseline of SPEC 7 (2 GiB). */
      limits: z.object({ memory_bytes: z.int().default(2 * 1024 ** 3), pids: z.int().default(4096) }).prefault({}),
    })
    .prefault({}),
});
export type AgentSettings = z.infer<typeof AgentSettings>;
