import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { evilJson, evilText, nested, prototypesAreClean } from "../../test/support/hostile.js";
import { agentPaths, AgentSettings } from "../domain/index.js";
import { imageReader, readIdentity, readShellDoor, type AgentPaths } from "./config.js";

// Hundreds of runs, on machines that do other things too.
jest.setTimeout(120_000);

let root: string;
let paths: AgentPaths;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-config-"));
  const at = Object.keys(agentPaths).map((key) => [key, join(root, key)]);
  paths = Object.fromEntries(at) as AgentPaths;
  writeFileSync(paths.agentId, "abcd1234\n");
});
afterEach(() => rmSync(root, { recursive: true }));

test("settings of any content are the agent's or refused with the file's name", async () => {
  const fields = ["name", "user", "uid", "gid", "home", "session", "capacity", "__proto__", "unknown"];
  const settings = fc.oneof(
    evilText(),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.constant(nested(50_000)),
    fc.dictionary(fc.constantFrom(...fields), evilJson()).map((value) => JSON.stringify({ name: "a", ...value })),
  );
  await fc.assert(
    fc.asyncProperty(settings, async (content) => {
      writeFileSync(paths.settings, content);
      try {
        const identity = await readIdentity(paths);
        expect(AgentSettings.safeParse(identity.settings).success).toBe(true);
      } catch (error) {
        expect(error).toMatchObject({ code: "IO_ERROR", message: expect.stringContaining(paths.settings) });
      }
    }),
  );
  expect(prototypesAreClean()).toBe(true);
});

test("an agent's id of any content is one or refused, and so is the shell's address", async () => {
  writeFileSync(paths.settings, '{"name":"a"}');
  writeFileSync(paths.agentToShellKey, "key");
  writeFileSync(paths.shellHostKey, "key");
  await fc.assert(
    fc.asyncProperty(evilText(), async (text) => {
      writeFileSync(paths.agentId, text);
      writeFileSync(paths.shellHost, text);
      const id = await readIdentity(paths).then(
        ({ agentId }) => agentId,
        (error: unknown) => void expect(error).toMatchObject({ code: "IO_ERROR" }),
      );
      if (id !== undefined) expect(id).toMatch(/^[a-z0-9]{8}$/);
      await readShellDoor(paths).catch((error: unknown) => expect(error).toMatchObject({ code: "IO_ERROR" }));
    }),
  );
});

test("current-image of any content is an image of ours or none", () => {
  const tag = fc.oneof(
    evilText(),
    evilText().map((text) => `convocate:${text}`),
    fc.constant("debian:12"),
  );
  fc.assert(
    fc.property(tag, (text) => {
      writeFileSync(paths.currentImage, text);
      const image = imageReader(paths)();
      if (image !== null) expect(image).toMatch(/^convocate:\w[\w.-]*$/);
    }),
  );
  writeFileSync(paths.currentImage, "convocate:3.0.0-g1234abcd\n");
  expect(imageReader(paths)()).toBe("convocate:3.0.0-g1234abcd");
  rmSync(paths.currentImage);
  expect(imageReader(paths)()).toBeNull();
});
