import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { eventually } from "../../../test/support/eventually.js";
import { tempDir } from "../../../test/support/keys.js";
import { newSessionId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { HostJournal } from "./journal.js";

const id = newSessionId();
let dir: ReturnType<typeof tempDir>;
let server: Server | undefined;
let heard: string[];
beforeEach(() => {
  dir = tempDir();
  heard = [];
});
afterEach(() => {
  server?.close();
  server = undefined;
  dir[Symbol.dispose]();
});

/** Hears what systemd-journald would: a stream a line. */
async function listen(socket: string): Promise<void> {
  server = createServer((stream) => {
    let text = "";
    stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    stream.on("end", () => heard.push(text));
  });
  await new Promise<void>((resolve) => server?.listen(socket, resolve));
}

/** A journalctl that does that. */
function journalctl(script: string): string {
  const path = join(dir.path, "journalctl");
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return path;
}

test("each line that is told is a stream of its own under the session's id, in order", async () => {
  const socket = join(dir.path, "stdout");
  await listen(socket);
  const journal = new HostJournal({ log: silentLog, socket });
  for (let n = 0; n < 50; n++) journal.tell(id, `line ${n}`);
  await journal[Symbol.asyncDispose]();
  await eventually("all lines", () => heard.length === 50);
  expect(heard).toEqual(Array.from({ length: 50 }, (_, n) => `${id}\n\n6\n0\n0\n0\n0\nline ${n}\n`));
});

test("a journal that is not there costs its lines and nothing else: it is said once in a while, with how many", async () => {
  const said: Record<string, unknown>[] = [];
  const log = { ...silentLog, warn: (fields: Record<string, unknown>) => void said.push(fields) };
  const socket = join(dir.path, "stdout");
  const journal = new HostJournal({ log, socket });
  for (let n = 0; n < 1500; n++) journal.tell(id, `line ${n}`);
  await journal[Symbol.asyncDispose]();
  expect(said.length).toBeGreaterThan(0);
  expect(said.length).toBeLessThan(20);
  expect(said.at(-1)?.lost).toBeGreaterThan(500);
  await listen(socket);
  journal.tell(id, "it is back");
  await eventually("the line", () => heard.length === 1);
});

test("what the journal has is read, and one that cannot be read says why", async () => {
  const entry = JSON.stringify({ MESSAGE: "said", __REALTIME_TIMESTAMP: "1000001" });
  const good = new HostJournal({ log: silentLog, journalctl: journalctl(`echo '${entry}'`) });
  expect(await good.read(id, { lines: 5, after: null })).toEqual([
    { timestamp: "1970-01-01T00:00:01.000001Z", text: "said" },
  ]);
  const bad = new HostJournal({ log: silentLog, journalctl: journalctl("echo no journal here >&2; exit 1") });
  await expect(bad.read(id, { lines: 5, after: null })).rejects.toMatchObject({
    code: "IO_ERROR",
    message: expect.stringContaining("no journal here"),
  });
  const none = new HostJournal({ log: silentLog, journalctl: join(dir.path, "nothing") });
  await expect(none.read(id, { lines: 5, after: null })).rejects.toMatchObject({ code: "IO_ERROR" });
});
