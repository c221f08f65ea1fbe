import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { FormerHost } from "../../../test/agent/former-host.js";
import { newSessionId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { systemClock } from "../clock.js";
import { readIdentity } from "../config.js";
import { LockFiles } from "../sessions/lock-files.js";
import { Locks } from "../sessions/locks.js";
import { MetadataStore } from "../sessions/metadata.js";
import { adoptAtStart } from "./at-start.js";

let host: FormerHost;
beforeEach(() => {
  host = new FormerHost();
});
afterEach(() => host[Symbol.dispose]());

const start = async (): Promise<{ events: string[]; logged: unknown[]; store: MetadataStore }> => {
  const events: string[] = [];
  const logged: unknown[] = [];
  const note = (fields: object, message: string): void => void logged.push({ ...fields, message });
  const log = { info: note, warn: note, error: note };
  const store = await MetadataStore.open(host.paths.sessions, silentLog);
  mkdirSync(host.paths.sessions, { recursive: true });
  const locks = new Locks(systemClock, 100, new LockFiles(host.paths.locks, silentLog));
  const { settings } = await readIdentity(host.paths);
  await adoptAtStart(settings, {
    store,
    locks,
    events: { emit: (type, id) => void events.push(`${type} ${id ?? ""}`) },
    log,
    held: [],
  });
  return { events, logged, store };
};

test("adopts, tells of each, and logs how many and what it refused", async () => {
  const good = host.leave();
  const bad = host.leave({ port: 22 });
  const { events, logged, store } = await start();
  expect(store.all().map(({ id }) => id)).toEqual([good]);
  expect(events).toEqual([`container.created ${good}`]);
  expect(logged).toEqual([
    { adopted: 1, message: expect.stringContaining("adopted") },
    { directory: bad, reason: expect.stringMatching(/^port in/), message: "not adopted" },
  ]);
  expect((await start()).events).toEqual([]);
});

test("logs twenty refusals and how many there were, whatever lies there", async () => {
  for (let at = 0; at < 25; at++) mkdirSync(join(host.home, newSessionId()));
  const { logged } = await start();
  expect(logged).toHaveLength(21);
  expect(logged.at(-1)).toMatchObject({ refused: 25 });
});

test("goes on when what was left cannot be looked at", async () => {
  rmSync(host.home, { recursive: true });
  writeFileSync(host.home, "");
  expect((await start()).logged).toEqual([{ error: expect.stringContaining(host.home), message: expect.any(String) }]);
});
