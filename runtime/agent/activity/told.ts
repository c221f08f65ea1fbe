import { z } from "zod";

/** Longest line that is read; what the image writes stays under 4,000 bytes. */
export const MAX_TOLD_BYTES = 8 * 1024;

/**
 * What a session tells of itself: a hook of the Claude CLI (image/bin/convocate-hook), or its pane that fell `still` or is
 * `lively` (image/bin/convocate-watch-pane). It comes from inside a container, so nothing of it is believed beyond what it
 * says of that one session. Events that this agent does not know are let through and mean nothing.
 */
export const Told = z.object({
  event: z.string().max(64),
  /** The session's clock, milliseconds since 1970. */
  at_ms: z.number().min(0).max(8.64e15),
  tool: z.string().max(400).optional(),
  text: z.string().max(1_000).optional(),
  /** On `still`: whether a dialog of the CLI is on the screen. */
  dialog: z.boolean().optional(),
  /** On `lively`: when the output began that has not paused since. */
  since_ms: z.number().optional(),
});
export type Told = z.infer<typeof Told>;

/** Null for anything else than a line of the above. */
export function parseTold(line: string): Told | null {
  try {
    return Told.safeParse(JSON.parse(line)).data ?? null;
  } catch {
    return null;
  }
}
