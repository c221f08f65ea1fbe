import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { evilText } from "../../../test/support/hostile.js";
import { tempDir } from "../../../test/support/keys.js";
import { agentKeyFiles } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { parseAddress, Registry, type AgentEntry } from "./registry.js";

// Hundreds of runs, on machines that do other things too.
jest.setTimeout(120_000);

test("agent-host of any content is a host and a port that can be dialled, or refused with a code", () => {
  const near = fc
    .tuple(
      fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), evilText()),
      fc.constantFrom("", ":", ":0", ":22", ":65536", ":1.5"),
    )
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.oneof(evilText(), near), (text) => {
      try {
        const { host, port } = parseAddress(text);
        expect(host).toMatch(/^[0-9A-Za-z._:%-]+$/);
        expect(Number.isInteger(port) && port >= 1 && port <= 65535).toBe(true);
      } catch (error) {
        expect(error).toMatchObject({ code: "BAD_REQUEST" });
        expect((error as Error).message.length).toBeLessThan(700);
      }
    }),
  );
});

test("a folder of any name and content harms no agent beside it", async () => {
  using dir = tempDir();
  const register = (id: string, host: string): void => {
    mkdirSync(join(dir.path, id), { recursive: true });
    writeFileSync(join(dir.path, id, agentKeyFiles.host), host);
    writeFileSync(join(dir.path, id, agentKeyFiles.privateKey), "key");
    writeFileSync(join(dir.path, id, agentKeyFiles.hostKey), "key");
  };
  register("goodgood", "192.0.2.1");
  register("badhost1", "a b;c\n");
  register("UPPERCAS", "192.0.2.2");
  register("-option-", "192.0.2.3");
  register("a b c d ", "192.0.2.4");
  mkdirSync(join(dir.path, "empty000"));
  writeFileSync(join(dir.path, "nofolder"), "");
  const seen = new Map<string, AgentEntry | null>();
  using registry = new Registry(dir.path, silentLog, (id, entry) => void seen.set(id, entry));
  await registry.start();
  expect([...seen].filter(([, entry]) => entry !== null)).toEqual([
    ["goodgood", expect.objectContaining({ host: "192.0.2.1", port: 222 })],
  ]);
});
