import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { PassThrough } from "node:stream";
import { FakeAgent } from "../../../test/support/fake-agent.js";
import { eventually } from "../../../test/support/eventually.js";
import { keyFiles, tempDir } from "../../../test/support/keys.js";
import { startProxy, type Proxy } from "../../../test/support/proxy.js";
import { AgentId, type Session } from "../../domain/index.js";
import { dial } from "../../protocol/ssh/client.js";
import type { AttachOutcome, Terminal } from "../cluster.js";
import { attachSession } from "./attach.js";

jest.setTimeout(60_000);

let cleanup: AsyncDisposableStack;
let agent: FakeAgent;
let proxy: Proxy;
let session: Session;
let hostKey: string;

beforeEach(async () => {
  cleanup = new AsyncDisposableStack();
  const dir = cleanup.use(tempDir());
  agent = cleanup.use(new FakeAgent(dir.path, AgentId.parse("agentaaa"), "agent-1"));
  await agent.start();
  proxy = cleanup.use(await startProxy(() => agent.port));
  session = agent.addSession("one");
  ({ hostKey } = agent.keys());
});
afterEach(() => cleanup.disposeAsync());

interface FakeTerminal extends Terminal {
  readonly input: PassThrough;
  readonly output: PassThrough;
  shown: string;
  resize(size: { cols: number; rows: number }): void;
}

function fakeTerminal(): FakeTerminal {
  const input = new PassThrough();
  const output = new PassThrough();
  let size = { cols: 120, rows: 40 };
  let listener: (() => void) | null = null;
  const terminal: FakeTerminal = {
    input,
    output,
    shown: "",
    term: "xterm-256color",
    size: () => size,
    onResize: (added) => {
      listener = added;
      return () => void (listener = null);
    },
    resize: (next) => {
      size = next;
      listener?.();
    },
  };
  output.on("data", (chunk: Buffer) => void (terminal.shown += chunk.toString("utf8")));
  return terminal;
}

function attach(terminal: Terminal, options: { signal?: AbortSignal; mode?: "ro" } = {}): Promise<AttachOutcome> {
  const { privateKey } = agent.keys();
  return attachSession({
    dial: (dialOptions) => dial({ host: "127.0.0.1", port: proxy.port, privateKey, hostKey, ...dialOptions }),
    id: session.id,
    where: "agent-1",
    terminal,
    mode: "rw",
    ...options,
  });
}

/** A text whose every part can be told apart, so that a byte lost or sent twice shows. */
function counted(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, i) => `${from + i},`).join("");
}

const shown = (terminal: FakeTerminal): Promise<unknown> =>
  eventually("screen", () => terminal.shown.includes("screen of"));
const detach = (terminal: FakeTerminal): void => void terminal.input.write(agent.detachKey);

describe("an attach", () => {
  test("carries what is typed, shows the screen, follows the window, and ends with tmux's detach", async () => {
    const terminal = fakeTerminal();
    const outcome = attach(terminal);
    await eventually("screen", () => terminal.shown.includes(`screen of ${session.id}`));
    terminal.input.write("hello");
    terminal.resize({ cols: 90, rows: 30 });
    await eventually("input and window", () => agent.typed === "hello" && agent.windows.length > 0);
    expect(agent.headers[0]).toMatchObject({ id: session.id, cols: 120, rows: 40, mode: "rw", term: "xterm-256color" });
    expect(agent.windows).toEqual([{ cols: 90, rows: 30 }]);
    detach(terminal);
    expect(await outcome).toEqual({ kind: "ended", exitStatus: 0 });
    expect(proxy.accepted).toBe(1);
  });

  test("through a network that breaks at random places, every byte typed arrives once and in order", async () => {
    const terminal = fakeTerminal();
    const outcome = attach(terminal);
    let typed = "";
    for (let round = 0; round < 6; round += 1) {
      await eventually(`screen ${round + 1}`, () => terminal.shown.split("screen of").length === round + 2);
      proxy.cutAfterClientBytes(500 + round * 377);
      const broke = (): boolean => terminal.shown.split("reconnecting").length === round + 2;
      for (let i = 0; !broke() && i < 400; i += 1) {
        const text = counted(round * 10_000 + i * 20, round * 10_000 + i * 20 + 20);
        typed += text;
        terminal.input.write(text);
        await new Promise((resolve) => setTimeout(resolve, 3));
      }
      expect(broke()).toBe(true);
    }
    await eventually("all input", () => agent.typed.length >= typed.length, { timeoutMs: 20_000 });
    expect(agent.typed).toBe(typed);
    detach(terminal);
    expect(await outcome).toEqual({ kind: "ended", exitStatus: 0 });
  });

  test("through a network that is slow, hands on single bytes and breaks, every byte typed arrives once", async () => {
    const terminal = fakeTerminal();
    proxy.slice(true);
    proxy.delay(20);
    const outcome = attach(terminal);
    await shown(terminal);
    let typed = "";
    for (let round = 0; round < 2; round += 1) {
      await eventually(`screen ${round + 1}`, () => terminal.shown.split("screen of").length === round + 2);
      proxy.cutAfterClientBytes(700);
      const text = counted(round * 1000, round * 1000 + 300);
      typed += text;
      for (const piece of text.match(/.{1,50}/g) ?? []) terminal.input.write(piece);
      await eventually("the word", () => terminal.shown.split("reconnecting").length === round + 2, {
        timeoutMs: 15_000,
      });
    }
    await eventually("all input", () => agent.typed.length >= typed.length, { timeoutMs: 20_000 });
    expect(agent.typed).toBe(typed);
    detach(terminal);
    expect(await outcome).toEqual({ kind: "ended", exitStatus: 0 });
  });

  test("says reconnecting while the network is away, and is back within 5 s of its return", async () => {
    const terminal = fakeTerminal();
    const outcome = attach(terminal);
    await shown(terminal);
    proxy.cut();
    await eventually("the word", () => terminal.shown.includes("reconnecting to agent-1…"));
    terminal.input.write("typed in the dark");
    await new Promise((resolve) => setTimeout(resolve, 4000));
    proxy.mend();
    const back = performance.now();
    await eventually("input", () => agent.typed === "typed in the dark", { timeoutMs: 5000 });
    expect(performance.now() - back).toBeLessThan(5000);
    detach(terminal);
    expect(await outcome).toEqual({ kind: "ended", exitStatus: 0 });
  });

  test("notices a network that swallows everything, and comes back", async () => {
    const terminal = fakeTerminal();
    const outcome = attach(terminal);
    await shown(terminal);
    proxy.stall();
    terminal.input.write("swallowed, ");
    await eventually("the word", () => terminal.shown.includes("reconnecting"), { timeoutMs: 15_000 });
    terminal.input.write("and more");
    proxy.mend();
    await eventually("input", () => agent.typed === "swallowed, and more", { timeoutMs: 10_000 });
    detach(terminal);
    expect(await outcome).toEqual({ kind: "ended", exitStatus: 0 });
  });

  test("after an agent that has forgotten the stream, only what was never sent is sent", async () => {
    const terminal = fakeTerminal();
    agent.acknowledge = false;
    const outcome = attach(terminal);
    await shown(terminal);
    terminal.input.write("before ");
    await eventually("input", () => agent.typed === "before ");
    await agent.stop({ amnesia: true });
    await eventually("the word", () => terminal.shown.includes("reconnecting"));
    terminal.input.write("after");
    agent.acknowledge = true;
    await agent.start();
    await eventually("input", () => agent.typed.includes("after"));
    terminal.input.write(" more");
    await eventually("input", () => agent.typed.includes("more"));
    expect(agent.typed).toBe("before after more");
    detach(terminal);
    expect(await outcome).toEqual({ kind: "ended", exitStatus: 0 });
  });

  test("Ctrl-C reaches the session while attached, and gives up while reconnecting", async () => {
    const terminal = fakeTerminal();
    const outcome = attach(terminal);
    await shown(terminal);
    terminal.input.write("\x03");
    await eventually("input", () => agent.typed === "\x03");
    proxy.cut();
    await eventually("the word", () => terminal.shown.includes("reconnecting"));
    terminal.input.write("\x03");
    expect(await outcome).toMatchObject({ kind: "failed", error: { code: "INTERRUPTED" } });
  });

  test("a viewer sends nothing, and leaves with tmux's keys", async () => {
    const terminal = fakeTerminal();
    const outcome = attach(terminal, { mode: "ro" });
    await shown(terminal);
    terminal.input.write("typed d \x02");
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(agent.typed).toBe("");
    terminal.input.write("d");
    expect(await outcome).toEqual({ kind: "ended", exitStatus: 0 });
  });

  test("a wrong host key is never tried again", async () => {
    const dir = cleanup.use(tempDir());
    hostKey = keyFiles(dir.path, "other", "other").publicKey;
    expect(await attach(fakeTerminal())).toMatchObject({ kind: "failed", error: { code: "HOST_KEY_MISMATCH" } });
    expect(proxy.accepted).toBe(1);
  });

  test("a host key that changes while reconnecting ends the attach", async () => {
    const terminal = fakeTerminal();
    const outcome = attach(terminal);
    await shown(terminal);
    const dir = cleanup.use(tempDir());
    hostKey = keyFiles(dir.path, "other", "other").publicKey;
    proxy.cut();
    proxy.mend();
    expect(await outcome).toMatchObject({ kind: "failed", error: { code: "HOST_KEY_MISMATCH" } });
    expect(proxy.accepted).toBe(2);
  });

  test("what the agent refuses is told with its code, and not asked again", async () => {
    agent.refuseAttach = { code: "SESSION_NOT_RUNNING", error: "session one is stopped: restart it first" };
    expect(await attach(fakeTerminal())).toMatchObject({
      kind: "failed",
      error: { code: "SESSION_NOT_RUNNING", message: "agent-1: session one is stopped: restart it first" },
    });
    expect(proxy.accepted).toBe(1);
  });

  test("aborting it closes the channel and leaves the terminal as it was", async () => {
    const terminal = fakeTerminal();
    const controller = new AbortController();
    const outcome = attach(terminal, { signal: controller.signal });
    await shown(terminal);
    agent.show("\x1b[?1049h\x1b[?1006h\x1b[?25l half a sequence \x1b[38;5");
    await eventually("output", () => terminal.shown.includes("half a sequence"));
    controller.abort();
    expect((await outcome).kind).toBe("failed");
    await eventually("channel closed", () => agent.attached === 0);
    const after = terminal.shown.slice(terminal.shown.indexOf("38;5") + 4);
    for (const undo of ["\x1b[?1049l", "\x1b[?1006l", "\x1b[?2004l", "\x1b[?25h", "\x1b[=0u"])
      expect(after).toContain(undo);
    expect(terminal.input.isPaused()).toBe(true);
  });

  test("stops reading the terminal when a megabyte waits to be taken, and goes on after", async () => {
    const terminal = fakeTerminal();
    agent.acknowledge = false;
    const outcome = attach(terminal);
    await shown(terminal);
    const piece = Buffer.alloc(64 * 1024, "x");
    for (let i = 0; i < 40; i += 1) terminal.input.write(piece);
    await eventually("paused", () => terminal.input.isPaused());
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(agent.typed.length).toBeLessThan(1024 * 1024 + 2 * 64 * 1024);
    agent.acknowledge = true;
    proxy.cut();
    proxy.mend();
    await eventually("all input", () => agent.typed.length === 40 * 64 * 1024, { timeoutMs: 20_000 });
    detach(terminal);
    expect(await outcome).toEqual({ kind: "ended", exitStatus: 0 });
  });
});
