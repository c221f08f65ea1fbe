import { AgentEvent, AgentId, toConvocateError } from "../../domain/index.js";
import { parseJson } from "../../protocol/json.js";
import { Sparing, type Log } from "../../protocol/log.js";
import { readLines, writeLine } from "../../protocol/ndjson.js";
import type { ServedChannel } from "../../protocol/ssh/types.js";
import type { Intake, Source } from "./intake.js";

/** Ours have some hundred bytes. The history is bounded by number, so this bounds its size on disk. */
const MAX_EVENT_BYTES = 64 * 1024;

/**
 * Serves one `convocate-status` channel until its agent closes it. Whose events these are is said by the key that
 * authenticated (its comment is the agent's id), not by what the lines claim. Resolves when the channel has ended.
 */
export async function receive(channel: ServedChannel, agentId: AgentId, intake: Intake, log: Log): Promise<void> {
  const acks = new AckWriter(channel);
  const source: Source = {
    agentId,
    committed: (seq) => acks.send(seq),
  };
  const sparing = new Sparing();
  let bad = 0;
  const skip = (why: string, fields: Record<string, unknown>): void => {
    bad += 1;
    const unlogged = sparing.next();
    if (unlogged) log.warn({ agent_id: agentId, bad, ...fields, ...unlogged }, why);
  };
  try {
    for await (const item of readLines(channel.stream, { maxBytes: MAX_EVENT_BYTES })) {
      if ("tooLong" in item) {
        skip("skipped a line that is too long", {});
        continue;
      }
      if (item.line.trim() === "") continue;
      const event = parseEvent(item.line);
      if (event.kind === "bad") skip("skipped a line that is no event", { problem: event.problem });
      else if (event.event.agent_id !== agentId)
        skip("dropped an event that claims to be another agent's", { claimed: event.event.agent_id });
      else await intake.add(source, event.event, item.line.length, channel.signal);
    }
  } catch (error) {
    // A connection that broke in the middle of a line is how agents leave when their host goes down.
    log.info({ agent_id: agentId, error: String(error) }, "agent's channel broke");
  }
  // What was sent right before the end is committed too; nobody is left to be told.
  intake.flush(source);
}

/** The agent's id out of a peer's key comment, or null when provisioning wrote something else there. */
export function agentOfPeer(comment: string): AgentId | null {
  const parsed = AgentId.safeParse(comment);
  return parsed.success ? parsed.data : null;
}

type Parsed = { kind: "event"; event: AgentEvent } | { kind: "bad"; problem: string };

function parseEvent(line: string): Parsed {
  let value: unknown;
  try {
    value = parseJson(line, "the line");
  } catch (error) {
    return { kind: "bad", problem: toConvocateError(error).message };
  }
  const parsed = AgentEvent.safeParse(value);
  if (parsed.success) return { kind: "event", event: parsed.data };
  // Only where it is wrong, never what was in it: the log is no place for what an agent may put into a line.
  const paths = parsed.error.issues.map((issue) => issue.path.slice(0, 1).join(".") || "(top)");
  return { kind: "bad", problem: `bad ${[...new Set(paths)].slice(0, 5).join(", ")}` };
}

/** One acknowledgement in flight at a time; while it waits, only the highest newer one is remembered. */
class AckWriter {
  readonly #channel: ServedChannel;
  #next: number | null = null;
  #writing = false;

  constructor(channel: ServedChannel) {
    this.#channel = channel;
  }

  send(seq: number): void {
    this.#next = Math.max(this.#next ?? 0, seq);
    if (!this.#writing) void this.#write();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    try {
      while (this.#next !== null && !this.#channel.signal.aborted) {
        const ack = this.#next;
        this.#next = null;
        await writeLine(this.#channel.stream, { ack });
      }
    } catch {
      // The channel is going; its reader sees the end, and the agent sends again what it has no answer for.
    } finally {
      this.#writing = false;
    }
  }
}
