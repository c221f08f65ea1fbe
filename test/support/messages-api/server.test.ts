import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { request as httpRequest } from "node:http";
import { startMessagesApi, type MessagesApi } from "./server.js";

// What the server sends is judged by the expectations, not by types.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Json = Record<string, any>;
let api: MessagesApi;
beforeEach(async () => {
  api = await startMessagesApi({ wordDelayMs: 0, maxBodyBytes: 64 * 1024 });
});
afterEach(async () => {
  await api[Symbol.asyncDispose]();
});

const post = (body: unknown, init: RequestInit = {}) =>
  fetch(`http://127.0.0.1:${api.port}/v1/messages?beta=true`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": "any" },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
  });
const prompt = (content: unknown, more: Json = {}) => ({
  model: "m",
  max_tokens: 10,
  stream: true,
  tools: [{ name: "Bash" }, { name: "AskUserQuestion" }],
  messages: [{ role: "user", content }],
  ...more,
});
async function stream(body: unknown): Promise<Json[]> {
  const response = await post(body);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  const text = await response.text();
  return text
    .split("\n\n")
    .filter(Boolean)
    .map((event) => {
      const [name, data] = event.split("\n");
      const json = JSON.parse(data!.replace("data: ", "")) as Json;
      expect(name).toBe(`event: ${json["type"]}`);
      return json;
    });
}
const said = (events: Json[]) => events.map((event) => String(event["delta"]?.text ?? "")).join("");
const stopReason = (events: Json[]): unknown =>
  events.find((event) => event["type"] === "message_delta")?.["delta"].stop_reason;

describe("the test Messages API server", () => {
  test("streams the echo of a prompt word by word, in the API's order of events", async () => {
    const events = await stream(prompt("hello  there\nfriend"));
    expect(events.map(({ type }) => type as string).filter((type, i, all) => type !== all[i - 1])).toEqual([
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
    expect(said(events)).toBe("You said: hello  there\nfriend");
    expect(events.filter(({ type }) => type === "content_block_delta")).toHaveLength(5);
    expect(stopReason(events)).toBe("end_turn");
  });

  test("echoes what was typed, not the CLI's own notes or a system message after it", async () => {
    const content = [
      { type: "text", text: "<system-reminder>\nbe brief\n</system-reminder>" },
      { type: "text", text: "typed" },
    ];
    const messages = [
      { role: "user", content: "earlier" },
      { role: "assistant", content: [{ type: "text", text: "said" }] },
      { role: "user", content },
      { role: "system", content: "note" },
    ];
    expect(said(await stream(prompt("", { messages })))).toBe("You said: typed");
  });

  test("asks for Bash at `run:` and reports what the tool gave back", async () => {
    const asked = await stream(prompt("run: echo 'a b'"));
    const block = asked.find(({ type }) => type === "content_block_start")!["content_block"];
    expect(block).toMatchObject({ type: "tool_use", name: "Bash", input: {} });
    expect(JSON.parse(asked.find(({ type }) => type === "content_block_delta")!["delta"].partial_json)).toMatchObject({
      command: "echo 'a b'",
    });
    expect(stopReason(asked)).toBe("tool_use");

    const messages = [
      { role: "user", content: "run: echo 'a b'" },
      { role: "assistant", content: [block] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: block.id, content: "a b\n" }] },
    ];
    expect(said(await stream(prompt("", { messages })))).toBe("It printed: a b");
    expect(api.turns.map(({ kind, text }) => [kind, text])).toEqual([
      ["prompt", "run: echo 'a b'"],
      ["tool-result", "a b\n"],
    ]);
  });

  test("does not ask for a tool that the request does not offer", async () => {
    expect(said(await stream(prompt("run: ls", { tools: [] })))).toBe("You said: run: ls");
  });

  test("asks a question at `ask:`", async () => {
    const asked = await stream(prompt("ask: Which way?"));
    expect(JSON.parse(asked.find(({ type }) => type === "content_block_delta")!["delta"].partial_json)).toMatchObject({
      questions: [{ question: "Which way?", options: [{ label: "Left" }, { label: "Right" }] }],
    });
  });

  test("answers with the status that `fail:` names, in the API's form", async () => {
    const response = await post(prompt("fail: 529"));
    expect(response.status).toBe(529);
    expect(await response.json()).toMatchObject({ type: "error", error: { type: "overloaded_error" } });
  });

  test("answers in one piece when the request does not stream", async () => {
    const body = (await (await post(prompt("hi", { stream: false }))).json()) as Json;
    expect(body).toMatchObject({ role: "assistant", stop_reason: "end_turn", content: [{ text: "You said: hi" }] });
  });

  test("answers in JSON where the request has a schema, as the CLI asks for a title", async () => {
    const format = { type: "json_schema", schema: { type: "object", required: ["title"] } };
    const events = await stream(prompt("<session>\nmend it\n</session>", { tools: [], output_config: { format } }));
    expect(JSON.parse(said(events))).toEqual({ title: "mend it" });
  });

  test("greets the CLI and serves the turns it has seen, without side requests", async () => {
    const base = `http://127.0.0.1:${api.port}`;
    expect((await fetch(`${base}/api/hello`, { method: "HEAD" })).status).toBe(200);
    await (await post(prompt("seen"))).text();
    await (await post(prompt("a title please", { tools: undefined }))).text();
    expect(await (await fetch(`${base}/turns`)).json()).toMatchObject([{ kind: "prompt", text: "seen" }]);
  });

  test("refuses a body that is too large, is not JSON, or has no messages", async () => {
    expect((await post(prompt("x".repeat(70_000)))).status).toBe(413);
    expect((await post("{")).status).toBe(400);
    expect((await post({ model: "m" })).status).toBe(400);
  });

  test("refuses a request without a key, and a path it does not have", async () => {
    expect((await post(prompt("x"), { headers: {} })).status).toBe(401);
    expect((await fetch(`http://127.0.0.1:${api.port}/v1/models`)).status).toBe(404);
  });

  test("waits at `wait:`, and closes at once in the middle of an answer", async () => {
    const pending = new Promise((resolve) => {
      const client = httpRequest({
        host: "127.0.0.1",
        port: api.port,
        path: "/v1/messages",
        method: "POST",
        headers: { "x-api-key": "k" },
      });
      client.on("error", resolve).on("response", resolve);
      client.end(JSON.stringify(prompt("wait: 300")));
    });
    const deadline = Date.now() + 4000;
    while (api.turns.length === 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(api.turns).toHaveLength(1);
    const before = Date.now();
    await api[Symbol.asyncDispose]();
    expect(await pending).toMatchObject({ code: "ECONNRESET" });
    expect(Date.now() - before).toBeLessThan(5000);
    api = await startMessagesApi();
  });
});
