import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { tempDir } from "../../../test/support/keys.js";
import { agentKeyFiles } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { Registry, type AgentEntry } from "./registry.js";

test("a folder of any name and content harms no agent beside it, and is told of", async () => {
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
  const told = new Map<unknown, unknown>();
  const log = {
    ...silentLog,
    warn: (fields: Record<string, unknown>) => void told.set(fields["agent_id"], fields["error"]),
  };
  using registry = new Registry(dir.path, log, (id, entry) => void seen.set(id, entry));
  await registry.start();
  expect([...seen].filter(([, entry]) => entry !== null)).toEqual([
    ["goodgood", expect.objectContaining({ host: "192.0.2.1", port: 222 })],
  ]);
  expect([...told.keys()].sort()).toEqual(["badhost1", "empty000", "nofolder"]);
  expect(told.get("badhost1")).toContain('not an address: "a b;c"; expected host[:port]');
});
