import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { startLogin, type Login } from "../support/messages-api/login.js";
import { startMessagesApi, type MessagesApi } from "../support/messages-api/server.js";
import type { Screen } from "./screen.js";
import { bridgeAddress, docker, Session } from "./session.js";

jest.setTimeout(600_000);

const IMAGE = "convocate:t-login";
const SESSIONS = 10;
/** The CLI renews a token this long before its end; a new one is used for as long as the other figure. */
const RENEWED_BEFORE_MS = 300_000;
const LASTS_MS = 90_000;
const PROMPT = /^❯\s*$/m;

let folder: string;
let gateway: string;
let login: Login;
let api: MessagesApi;

beforeAll(async () => {
  await promisify(execFile)("script/image", ["build", "--tag", IMAGE], { timeout: 900_000, maxBuffer: 64 << 20 });
  gateway = await bridgeAddress();
  folder = mkdtempSync(join(tmpdir(), "convocate-login-"));
  login = await startLogin({ host: gateway, grantMs: RENEWED_BEFORE_MS + LASTS_MS });
  api = await startMessagesApi({ host: gateway, accepts: (authorization) => login.accepts(authorization) });
  writeFileSync(join(folder, "ca.pem"), login.caPem, { mode: 0o644 });
}, 1_000_000);
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await login[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
  await docker("image", "rm", IMAGE).catch(() => undefined);
});

/** A session with the host's one credentials file, in a folder that all sessions share, as convocate mounts them. */
const start = (credentials: string): Promise<Session> =>
  Session.start({
    image: IMAGE,
    prepare: "install -d -o 1337 -g 1337 -m 0700 .claude-login",
    env: {
      ANTHROPIC_BASE_URL: `http://${gateway}:${api.port}`,
      HTTPS_PROXY: `http://${gateway}:${login.port}`,
      NO_PROXY: gateway,
      CLAUDE_SECURESTORAGE_CONFIG_DIR: "/home/claude/.claude-login",
      NODE_EXTRA_CA_CERTS: "/ca.pem",
    },
    args: [
      ...["--mount", `type=bind,source=${join(folder, "login")},target=/home/claude/.claude-login`],
      ...["--mount", `type=bind,source=${credentials},target=/home/claude/.claude-login/.credentials.json`],
      ...["--mount", `type=bind,source=${join(folder, "ca.pem")},target=/ca.pem,readonly`],
    ],
  });
const say = async (screen: Screen, text: string): Promise<void> => {
  screen.type(text);
  await screen.shows(text, 120_000);
  screen.type("\r");
};

interface Kept {
  claudeAiOauth: { accessToken: string; expiresAt: number };
}

test("ten sessions over one expiring token stay logged in, and no dialog asks", async () => {
  const credentials = join(folder, ".credentials.json");
  // Expired already, so that all ten refresh at their first word.
  writeFileSync(credentials, login.credentials(-60_000), { mode: 0o600 });
  chownSync(credentials, 1337, 1337);
  // The place where it is mounted; Docker would make it root's.
  mkdirSync(join(folder, "login"), { mode: 0o700 });
  writeFileSync(join(folder, "login/.credentials.json"), "", { mode: 0o600 });
  for (const path of ["login", "login/.credentials.json"]) chownSync(join(folder, path), 1337, 1337);
  login.expire();
  const inode = statSync(credentials).ino;

  await using opened = new AsyncDisposableStack();
  const screens: Screen[] = [];
  for (let i = 0; i < SESSIONS; i++) {
    const session = opened.use(await start(credentials));
    screens.push(await session.attach());
  }
  for (const screen of screens) {
    expect(await screen.shows(PROMPT, 120_000)).not.toMatch(/trust|theme|log ?in|Enter to c/i);
  }
  // The token they start with, and one that ends while they run: then all ten find that out in the same moment.
  for (const round of ["first", "second"]) {
    await Promise.all(screens.map((screen, at) => say(screen, `${round} of ${at}`)));
    await Promise.all(screens.map((screen, at) => screen.shows(`You said: ${round} of ${at}`, 120_000)));
    const kept = JSON.parse(readFileSync(credentials, "utf8")) as Kept;
    expect(login.accepts(`Bearer ${kept.claudeAiOauth.accessToken}`)).toBe(true);
    console.log(`${round} token: ${login.asked} refreshes asked for so far, ${login.granted} granted`);
    const renewAt = kept.claudeAiOauth.expiresAt - RENEWED_BEFORE_MS;
    await sleep(Math.max(0, renewAt - Date.now()) + 1_000);
  }
  expect(login.granted).toBeGreaterThanOrEqual(2);
  expect(statSync(credentials)).toMatchObject({ ino: inode, uid: 1337 });
  expect(statSync(credentials).mode & 0o777).toBe(0o600);
  for (const screen of screens) expect(screen.text()).not.toMatch(/\/login|invalid/i);
});
