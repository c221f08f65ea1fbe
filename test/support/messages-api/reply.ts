import { lastTurn, type MessagesRequest } from "./request.js";

/** What the server answers to one request. `delayMs` passes before the first byte. */
export type Reply =
  | { kind: "text"; text: string; delayMs: number }
  | { kind: "tool"; name: string; input: Record<string, unknown>; delayMs: number }
  | { kind: "error"; status: number; type: string; message: string; delayMs: number };

const ERROR_TYPES: Record<number, string> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  500: "api_error",
  529: "overloaded_error",
};

/** The longest pause and the most lines that a prompt may ask for. */
const MAX_DELAY_MS = 600_000;
const MAX_LINES = 200_000;

/**
 * Decides the answer from what was typed. A prompt may tell the server what to do, by a line of its own:
 *
 *     run: ls -la        asks for the Bash tool with this command; what it gives back is told as "It printed: …"
 *     ask: Which one?    asks for the AskUserQuestion tool, with the answers Left and Right
 *     fail: 400          answers with this HTTP status (the CLI tries again at 429 and from 500 up)
 *     wait: 5            waits that many seconds, then answers
 *     lines: 1000        answers with that many numbered lines
 *
 * Anything else is answered with "You said: …". A tool is only asked for when the request offers it. The CLI's auto mode has
 * each tool call judged by a model, which this server is not: set `permissions.defaultMode` to `default`, and it asks the
 * person at the terminal instead.
 */
export function replyTo(request: MessagesRequest): Reply {
  const turn = lastTurn(request);
  const fields = request.output_config?.format?.schema.required;
  if (fields) return { kind: "text", text: JSON.stringify(filled(fields, turn.text)), delayMs: 0 };
  if (turn.kind === "tool-result") {
    const verb = turn.failed ? "It failed" : "It printed";
    return { kind: "text", text: `${verb}: ${turn.text.trim() || "nothing"}`, delayMs: 0 };
  }
  const order = (name: string) => new RegExp(`^\\s*${name}:\\s*(.+)$`, "m").exec(turn.text)?.[1]?.trim();
  const offers = (tool: string) => request.tools?.some(({ name }) => name === tool) ?? false;

  const delayMs = Math.min(MAX_DELAY_MS, 1000 * positive(order("wait")));
  const command = order("run");
  if (command !== undefined && offers("Bash")) {
    return { kind: "tool", name: "Bash", input: { command, description: "Runs what was asked for" }, delayMs };
  }
  const question = order("ask");
  if (question !== undefined && offers("AskUserQuestion")) {
    const options = ["Left", "Right"].map((label) => ({ label, description: `Take ${label.toLowerCase()}` }));
    const input = { questions: [{ question, header: "Choice", options, multiSelect: false }] };
    return { kind: "tool", name: "AskUserQuestion", input, delayMs };
  }
  const status = positive(order("fail"));
  const type = ERROR_TYPES[status];
  if (type !== undefined) return { kind: "error", status, type, message: `This prompt asked for ${status}`, delayMs };
  const lines = Math.min(MAX_LINES, Math.floor(positive(order("lines"))));
  if (lines > 0) {
    const text = Array.from({ length: lines }, (_, index) => `line ${index + 1}`).join("\n");
    return { kind: "text", text, delayMs };
  }
  return { kind: "text", text: `You said: ${turn.text}`, delayMs };
}

/** An object with these fields, each the start of the text. The CLI's schemas have no other type than string. */
function filled(fields: string[], text: string): Record<string, string> {
  const start = text
    .replace(/<[^>]*>/g, "")
    .trim()
    .slice(0, 40);
  return Object.fromEntries(fields.map((field) => [field, start]));
}

/** The number in `text`; 0 for none, and for anything that is not a finite number above 0. */
function positive(text: string | undefined): number {
  const number = Number(text ?? 0);
  return Number.isFinite(number) && number > 0 ? number : 0;
}
