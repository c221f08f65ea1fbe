import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { startMessagesApi, type MessagesApi } from "../support/messages-api/server.js";
import type { Screen } from "./screen.js";
import { bridgeAddress, eventually, Session, type SessionOptions } from "./session.js";

/** The first build of a machine makes the base image and fetches the CLI. */
export const BUILD_MS = 15 * 60_000;
export const IMAGE = "convocate:t-image";
export const KEY = "sk-ant-test-0123456789abcdefghij0123456789";
/** Claude's prompt when it waits for words; a dialog has a number after the sign. */
export const PROMPT = /^❯\s*$/m;
export const ENTER = "\r";

/** Builds the image; what `script/image` prints. */
export async function build(): Promise<string> {
  const options = { timeout: BUILD_MS, maxBuffer: 64 * 1024 * 1024 };
  return (await promisify(execFile)("script/image", ["build", "--tag", IMAGE], options)).stdout;
}

/** The image, and a model for the real CLI in its sessions to talk to. */
export class ClaudeImage implements AsyncDisposable {
  readonly #api: MessagesApi;
  readonly #url: string;

  private constructor(api: MessagesApi, url: string) {
    this.#api = api;
    this.#url = url;
  }

  static async open(): Promise<ClaudeImage> {
    const [gateway] = await Promise.all([bridgeAddress(), build()]);
    const api = await startMessagesApi({ host: "0.0.0.0" });
    return new ClaudeImage(api, `http://${gateway}:${api.port}`);
  }

  start(options: Partial<SessionOptions> = {}): Promise<Session> {
    const env = { ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: this.#url, ...options.env };
    return Session.start({ image: IMAGE, ...options, env });
  }

  /** What was asked of the model, by anybody. */
  prompts(): string[] {
    return this.#api.turns.filter(({ kind }) => kind === "prompt").map(({ text }) => text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#api[Symbol.asyncDispose]();
  }
}

/** The screen, once Claude waits for words. */
export async function ready(screen: Screen): Promise<Screen> {
  await screen.shows(PROMPT);
  return screen;
}

/** Types a prompt as a person does: the CLI takes text and Enter that come in one piece for a paste. */
export async function say(screen: Screen, text: string): Promise<void> {
  screen.type(text);
  await screen.shows(text);
  screen.type(ENTER);
}

/** The CLI shows an answer a moment before it writes it down; what was never written nobody can resume. */
export async function noted(session: Session, words: string): Promise<void> {
  const search = ["sh", "-c", 'grep -rl "$1" /home/claude/.claude/projects || true', "noted", words];
  await eventually("the answer is noted", async () => (await session.exec(...search)) !== "");
}
