import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { TransferAgent } from "../../../test/agent/transfer-agent.js";
import { createParams } from "../../../test/agent/sessions-rig.js";
import { eventually } from "../../../test/support/eventually.js";
import { ConvocateError, newAgentId, newSessionId, type SessionId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { readFirstLine } from "../../protocol/ndjson.js";
import { systemClock } from "../clock.js";
import { Homes } from "../sessions/homes.js";
import { Locks } from "../sessions/locks.js";
import { Incoming, type IncomingOptions } from "./incoming.js";
import { Outgoing, type OutgoingOptions } from "./outgoing.js";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-tidy-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const since = new Date(0).toISOString();

test("an interrupted move of which nothing can be written keeps no other from being ended", async () => {
  const [full, fine] = [newSessionId(), newSessionId()];
  const transfer = { state: "moving", id: randomUUID(), to: newAgentId(), was_running: true, since };
  const updated: SessionId[] = [];
  const started: SessionId[] = [];
  const parts = {
    store: {
      all: () => [full, fine].map((id) => ({ id, transfer })),
      update: async (id: SessionId) => {
        if (id === full) throw new ConvocateError("IO_ERROR", "no space left on device");
        updated.push(id);
      },
    },
    locks: new Locks(systemClock),
    sessions: { restart: async (id: SessionId) => void started.push(id) },
    log: silentLog,
  };
  const outgoing = new Outgoing(parts as unknown as OutgoingOptions);
  await outgoing.tidy();
  await outgoing.settled();
  expect(updated).toEqual([fine]);
  expect(started).toEqual([full, fine]);
});

test("a session that waits and whose port another has by now keeps no agent from starting, and is not let in beside it", async () => {
  await using agent = new TransferAgent("a", root);
  await agent.revive();
  const other = await agent.sessions.create(createParams({ port: 8080 }));
  const [id, transfer_id] = [newSessionId(), randomUUID()];
  const arrived = { state: "arrived", id: transfer_id, from: newAgentId(), since } as const;
  const session = { ...agent.store.get(other.id)!, id, request_id: "", transfer: arrived };
  await agent.records.put({ state: "waiting", transfer_id, since: new Date().toISOString(), session });
  mkdirSync(agent.homes.incoming(id));
  await agent.revive();
  const activate = () => agent.call("import", { id, transfer_id, phase: "activate" }, 3_000);
  await expect(activate()).rejects.toMatchObject({ code: "PORT_TAKEN" });
  await agent.sessions.edit({ id: other.id, port: 8081 });
  expect(await activate()).toMatchObject({ state: "here", session: { id, port: 8080 } });
});

test("what a half-received home leaves is removed beside the start, and never what is received next", async () => {
  await using agent = new TransferAgent("a", root);
  const homes = new Homes(join(root, "home"), agent.settings);
  const id = newSessionId();
  mkdirSync(homes.incoming(id));
  for (let at = 0; at < 500; at++) writeFileSync(join(homes.incoming(id), `${at}`), "");
  const removed = homes.refuse(id);
  const folder = await homes.receive(id);
  writeFileSync(join(folder, "new"), "");
  await removed;
  expect(readdirSync(folder)).toEqual(["new"]);
  await agent.revive();
  await eventually("it to be removed", () => !readdirSync(join(root, "home")).some((one) => one.endsWith(id)));
});

/** Begins to send a session as a move does, until its archive comes. */
async function begin(agent: TransferAgent, id: SessionId, transfer_id: string): Promise<unknown> {
  const { stream } = await agent.open();
  const params = { phase: "begin", id, transfer_id, move_to: newAgentId() };
  stream.write(`${JSON.stringify({ op: "export", params })}\n`);
  return JSON.parse(await readFirstLine(stream));
}

test("a move whose end a full disk kept from being noted is over all the same", async () => {
  await using agent = new TransferAgent("a", root);
  await agent.revive();
  const { id } = await agent.sessions.create(createParams());
  const look = () => agent.call("export", { phase: "look", id }, 3_000);
  expect(await begin(agent, id, randomUUID())).toMatchObject({ ok: true });
  expect(await look()).toMatchObject({ state: "moving" });
  rmSync(join(root, "sessions"), { recursive: true });
  agent.cut();
  await agent.settled();
  expect(await look()).toMatchObject({ state: "here" });
  mkdirSync(join(root, "sessions"));
  expect(await begin(agent, id, randomUUID())).toMatchObject({ ok: true });
});

test("a transfer is sent once at a time, so that its cancel ends all there is of it", async () => {
  await using agent = new TransferAgent("a", root);
  await agent.revive();
  const [{ id }, transfer_id] = [await agent.sessions.create(createParams()), randomUUID()];
  expect(await begin(agent, id, transfer_id)).toMatchObject({ ok: true });
  expect(await begin(agent, id, transfer_id)).toMatchObject({ ok: false, code: "SESSION_LOCKED" });
  expect(await agent.call("export", { phase: "cancel", id, transfer_id }, 3_000)).toEqual({ state: "kept" });
  expect(await begin(agent, id, transfer_id)).toMatchObject({ ok: true });
});

test("of what has waited for too long, one that cannot be removed keeps no other", async () => {
  const ids = [newSessionId(), newSessionId()];
  const record = (id: SessionId) => ({ state: "waiting", transfer_id: randomUUID(), since, session: { id } });
  const records = new Map(ids.map((id) => [id, record(id)]));
  const parts = {
    records: {
      all: () => [...records.values()],
      get: (id: SessionId) => records.get(id),
      remove: async (id: SessionId) => void records.delete(id),
    },
    homes: {
      refuse: async (id: SessionId) => {
        if (id === ids[0]) throw new ConvocateError("IO_ERROR", "its disk is broken");
      },
    },
    store: { get: () => undefined },
    sessions: { release: () => undefined },
    locks: new Locks(systemClock),
    clock: systemClock,
    log: silentLog,
  };
  await new Incoming(parts as unknown as IncomingOptions).expire();
  expect([...records.keys()]).toEqual([ids[0]]);
});
