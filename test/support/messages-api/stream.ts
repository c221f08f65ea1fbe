import { randomUUID } from "node:crypto";
import type { Reply } from "./reply.js";

export type Answer = Exclude<Reply, { kind: "error" }>;

/** One server-sent event of the Messages API; its name is the data's `type`. */
export type StreamEvent = { type: string } & Record<string, unknown>;

/** About what a model would count: the API's own figure is not public, and the CLI only adds it up. */
export const tokens = (text: string): number => Math.ceil(text.length / 4);

/** The whole answer as one message, for a request that does not stream. */
export function message(model: string, answer: Answer, inputTokens: number): Record<string, unknown> {
  const content = answer.kind === "text" ? { type: "text", text: answer.text } : toolUse(answer);
  return {
    ...start(model, inputTokens),
    content: [content],
    stop_reason: stopReason(answer),
    usage: { ...usage(inputTokens), output_tokens: tokens(spoken(answer)) },
  };
}

/** The answer as the events of a stream, in order: text word by word, a tool's input as one piece of JSON. */
export function* events(model: string, answer: Answer, inputTokens: number): Generator<StreamEvent> {
  yield { type: "message_start", message: start(model, inputTokens) };
  if (answer.kind === "text") {
    yield { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } };
    for (const text of answer.text.match(/\s*\S+\s*$|\s*\S+/g) ?? []) {
      yield { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } };
    }
  } else {
    yield { type: "content_block_start", index: 0, content_block: { ...toolUse(answer), input: {} } };
    const delta = { type: "input_json_delta", partial_json: JSON.stringify(answer.input) };
    yield { type: "content_block_delta", index: 0, delta };
  }
  yield { type: "content_block_stop", index: 0 };
  yield {
    type: "message_delta",
    delta: { stop_reason: stopReason(answer), stop_sequence: null },
    usage: { output_tokens: tokens(spoken(answer)) },
  };
  yield { type: "message_stop" };
}

function start(model: string, inputTokens: number): Record<string, unknown> {
  return {
    id: `msg_${randomUUID().replaceAll("-", "")}`,
    type: "message",
    role: "assistant",
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: usage(inputTokens),
  };
}

function usage(inputTokens: number): Record<string, unknown> {
  return { input_tokens: inputTokens, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 1 };
}

function toolUse(answer: Extract<Answer, { kind: "tool" }>): Record<string, unknown> {
  return { type: "tool_use", id: `toolu_${randomUUID().replaceAll("-", "")}`, name: answer.name, input: answer.input };
}

const spoken = (answer: Answer): string => (answer.kind === "text" ? answer.text : JSON.stringify(answer.input));
const stopReason = (answer: Answer): string => (answer.kind === "text" ? "end_turn" : "tool_use");
