import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { eventually } from "../../../test/support/eventually.js";
import { tempDir } from "../../../test/support/keys.js";
import { agentKeyFiles } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { Registry, type AgentEntry } from "./registry.js";

/** Makes an agent's folder, or writes its address anew. */
function register(folder: string, id: string, host: string): void {
  mkdirSync(join(folder, id), { recursive: true });
  writeFileSync(join(folder, id, agentKeyFiles.host), host);
  writeFileSync(join(folder, id, agentKeyFiles.privateKey), "key");
  writeFileSync(join(folder, id, agentKeyFiles.hostKey), "key");
}

test("an agent that is added, changed or taken away is told of as soon as its files are", async () => {
  using dir = tempDir();
  register(dir.path, "agentone", "192.0.2.1");
  const seen = new Map<string, AgentEntry | null>();
  using registry = new Registry(dir.path, silentLog, (id, entry) => void seen.set(id, entry));
  await registry.start();
  const host = (id: string): string | null | undefined => seen.get(id) && seen.get(id)?.host;
  // Well before they would be looked at without being told.
  const soon = (what: string, is: () => boolean): Promise<boolean> =>
    eventually(what, () => Promise.resolve(is()), { timeoutMs: 5_000 });
  expect(host("agentone")).toBe("192.0.2.1");
  register(dir.path, "agenttwo", "192.0.2.2");
  await soon("the second agent", () => host("agenttwo") === "192.0.2.2");
  for (const [id, address] of Object.entries({ agentone: "192.0.2.11", agenttwo: "192.0.2.22" })) {
    writeFileSync(join(dir.path, id, "part"), address);
    renameSync(join(dir.path, id, "part"), join(dir.path, id, agentKeyFiles.host));
    await soon(`the new address of ${id}`, () => host(id) === address);
  }
  rmSync(join(dir.path, "agenttwo"), { recursive: true });
  await soon("the end of the second agent", () => seen.get("agenttwo") === null);
  register(dir.path, "agenttwo", "192.0.2.3");
  await soon("its return", () => host("agenttwo") === "192.0.2.3");
  expect(host("agentone")).toBe("192.0.2.11");
});

test("a folder of any name and content harms no agent beside it, and is told of", async () => {
  using dir = tempDir();
  register(dir.path, "goodgood", "192.0.2.1");
  register(dir.path, "badhost1", "a b;c\n");
  register(dir.path, "UPPERCAS", "192.0.2.2");
  register(dir.path, "-option-", "192.0.2.3");
  register(dir.path, "a b c d ", "192.0.2.4");
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
