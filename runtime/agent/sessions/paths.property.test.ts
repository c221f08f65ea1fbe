import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { evilJson, evilText, nested, prototypesAreClean } from "../../../test/support/hostile.js";
import { sampleMetadata } from "../../../test/support/samples.js";
import { newSessionId, SessionId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { containerName } from "../containers/spec.js";
import { Homes } from "./homes.js";
import { Metadata, MetadataStore } from "./metadata.js";

// Hundreds of runs, on machines that do other things too.
jest.setTimeout(120_000);

let root: string;
let sessions: string;
let home: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-paths-"));
  sessions = join(root, "sessions");
  home = join(root, "home");
  mkdirSync(sessions);
  mkdirSync(home);
  writeFileSync(join(root, "precious"), "");
  writeFileSync(join(home, "precious"), "");
  writeFileSync(join(sessions, "precious"), "");
});
afterEach(() => rmSync(root, { recursive: true }));

test("no id but a session's becomes a path, and a session's own path is right below its folder", async () => {
  const homes = new Homes(home, { uid: process.getuid!(), gid: process.getgid!() });
  const store = await MetadataStore.open(sessions, silentLog);
  await fc.assert(
    fc.asyncProperty(fc.oneof(evilText(), fc.uuid()), async (text) => {
      const id = text as SessionId;
      if (SessionId.safeParse(text).success) {
        expect(dirname(homes.path(id))).toBe(home);
        expect(containerName(id)).toMatch(/^convocate-session-[0-9a-f-]{36}$/);
        return;
      }
      expect(() => homes.path(id)).toThrow();
      await expect(homes.prepare(id)).rejects.toThrow();
      await expect(homes.remove(id)).rejects.toThrow();
      await expect(homes.discard(id)).rejects.toThrow();
      await expect(store.put({ ...sampleMetadata(), id })).rejects.toThrow();
      await expect(store.remove(id)).rejects.toThrow();
    }),
    { numRuns: 200 },
  );
  expect(readdirSync(root).sort()).toEqual(["home", "precious", "sessions"]);
  expect(readdirSync(home)).toEqual(["precious"]);
  expect(readdirSync(sessions)).toEqual(["precious"]);
});

test("metadata of any content is a session that keeps the rules, or left alone and logged", async () => {
  const fields = Object.keys(Metadata.shape);
  const content = fc.oneof(
    evilText(),
    fc.constant(nested(50_000)),
    fc
      .tuple(
        fc.dictionary(fc.constantFrom(...fields, "__proto__", "unknown"), evilJson(), { maxKeys: 3 }),
        fc.boolean(),
      )
      .map(([change, keepId]) => {
        const whole = { ...sampleMetadata(), ...change };
        return JSON.stringify(keepId ? { ...whole, id: undefined } : whole);
      }),
  );
  await fc.assert(
    fc.asyncProperty(content, async (text) => {
      const id = newSessionId();
      const path = join(sessions, `${id}.json`);
      writeFileSync(path, text.startsWith("{") ? text.replace("{", `{"id":"${id}",`) : text);
      const lost: unknown[] = [];
      const log = { ...silentLog, error: (said: Record<string, unknown>) => void lost.push(said["file"]) };
      const store = await MetadataStore.open(sessions, log);
      const all = store.all();
      expect(all.length + lost.length).toBe(1);
      for (const one of all) {
        expect(one.id).toBe(id);
        expect(Metadata.safeParse(one).success).toBe(true);
      }
      rmSync(path);
    }),
    { numRuns: 200 },
  );
  expect(prototypesAreClean()).toBe(true);
});
