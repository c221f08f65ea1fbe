import { z } from "zod";

const block = z.union([
  z.looseObject({ type: z.literal("text"), text: z.string() }),
  z.looseObject({ type: z.literal("tool_result"), content: z.unknown().optional(), is_error: z.boolean().optional() }),
  z.looseObject({ type: z.string() }),
]);

/** As much of a `POST /v1/messages` body as an answer depends on; the rest is let through unread. */
export const messagesRequest = z.looseObject({
  model: z.string().min(1),
  stream: z.boolean().optional(),
  /** Set where the answer must be JSON of a schema: the CLI asks for a session's title so. */
  output_config: z
    .looseObject({ format: z.looseObject({ schema: z.looseObject({ required: z.array(z.string()) }) }).optional() })
    .optional(),
  tools: z.array(z.looseObject({ name: z.string().optional() })).optional(),
  messages: z
    .array(
      z.looseObject({ role: z.enum(["user", "assistant", "system"]), content: z.union([z.string(), z.array(block)]) }),
    )
    .min(1),
});
export type MessagesRequest = z.infer<typeof messagesRequest>;

/** What the last user message is: something a person typed, or what a tool gave back. */
export type LastTurn = { kind: "prompt"; text: string } | { kind: "tool-result"; text: string; failed: boolean };

/** The CLI puts notes for the model into user messages, wrapped like this; nobody typed them. */
const NOTE = /<(system-reminder|command-[a-z]+|local-command-[a-z]+)>[\s\S]*?<\/\1>/g;

/** Finds the last user message. `system` messages may follow it, so it need not be the last of all. */
export function lastTurn(request: MessagesRequest): LastTurn {
  const last = request.messages.findLast((message) => message.role === "user");
  if (!last) return { kind: "prompt", text: "" };
  if (typeof last.content === "string") return { kind: "prompt", text: withoutNotes(last.content) };
  const result = last.content.findLast((item) => item.type === "tool_result");
  if (result) return { kind: "tool-result", text: textOf(result["content"]), failed: result["is_error"] === true };
  return { kind: "prompt", text: withoutNotes(textOf(last.content)) };
}

function withoutNotes(text: string): string {
  return text.replace(NOTE, "").trim();
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  const parts = content.map((item: unknown) => {
    const parsed = z.looseObject({ type: z.literal("text"), text: z.string() }).safeParse(item);
    return parsed.success ? withoutNotes(parsed.data.text) : "";
  });
  return parts.filter((part) => part !== "").join("\n");
}
