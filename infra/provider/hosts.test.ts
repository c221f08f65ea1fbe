import { expect, test } from "@jest/globals";
import { ConvocateError } from "../../runtime/domain/index.js";
import type { Connection, ConnectionPool, HostAddress } from "../connection/index.js";
import type { Lifecycle } from "../resources/lifecycle.js";
import { z } from "zod";
import { Adapter } from "./adapter.js";
import { HostBook, namedHosts } from "./hosts.js";
import type { Decoded, Plain } from "./values.js";

const at = (name: string, address: string, hostKey = "ssh-ed25519 A"): HostAddress => ({
  via: "ssh",
  name,
  address,
  port: 22,
  user: "root",
  hostKeys: [hostKey],
});

/** A pool that dials nobody and remembers whom it was asked for; those at `silent` do not answer. */
function fakePool(silent: string[] = []): ConnectionPool & { dialled: string[] } {
  const dialled: string[] = [];
  return {
    dialled,
    connect: async (host) => {
      const place = host.via === "ssh" ? `${host.address} ${host.hostKeys.join()}` : "here";
      dialled.push(place);
      if (host.via === "ssh" && silent.includes(host.address))
        throw new ConvocateError("TIMEOUT", `${host.name}: no answer`);
      return Promise.resolve({ host } as Connection);
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** A kind that only says where it lies. */
interface Here {
  host: string;
}
const here: Lifecycle<Here, Here> = {
  kind: "Here",
  inputs: z.object({ host: z.string() }),
  secretOutputs: [],
  diff: (state, inputs) => (state.host === inputs.host ? [] : [{ path: "host", kind: "change" }]),
  create: async (inputs, { pool }) => {
    await pool.connect(inputs.host);
    return { id: inputs.host, state: { host: inputs.host } };
  },
  read: async (_state, inputs, { pool }) => {
    await pool.connect(inputs.host);
    return { host: inputs.host };
  },
  update: async (state, inputs, context) => (await here.create(inputs, context)).state,
  delete: async (state, { pool }) => void (await pool.connect(state.host)),
};
const URN = "urn:pulumi:dev::convocate::convocate:index:Here::agent-1/here";
const decoded = (plain: object): Decoded => ({ plain: plain as Plain, secrets: new Set(), unknowns: [] });
const adapter = (book: HostBook): Adapter =>
  new Adapter(
    [here],
    book,
    () => undefined,
    () => undefined,
  );

test("a host is dialled as the inventory of the URN's stack says now, and that is remembered", async () => {
  const pool = fakePool();
  const asked: string[] = [];
  const book = new HostBook(pool, (stack) => (asked.push(stack), [at("agent-1", "192.0.2.2", "ssh-ed25519 NEW")]));
  const old = decoded({ host: "agent-1", reachedAt: { "agent-1": at("agent-1", "192.0.2.1") } });
  const seen = await adapter(book).read(URN, old, decoded({ host: "agent-1" }));
  expect([pool.dialled, asked]).toEqual([["192.0.2.2 ssh-ed25519 NEW"], ["dev"]]);
  expect(seen?.values).toEqual({
    host: "agent-1",
    reachedAt: { "agent-1": at("agent-1", "192.0.2.2", "ssh-ed25519 NEW") },
  });
});

test("a host that moved or has a new key differs in nothing", () => {
  const book = new HostBook(fakePool(), () => [at("agent-1", "192.0.2.2")]);
  const state = decoded({ host: "agent-1", reachedAt: { "agent-1": at("agent-1", "192.0.2.1") } });
  expect(adapter(book).diff(URN, state, decoded({ host: "agent-1" }))).toEqual([]);
});

test("a state of a release that kept whole addresses is understood, and what it says is remembered", async () => {
  const pool = fakePool();
  const book = new HostBook(pool, () => []);
  const old = decoded({ host: at("agent-1", "192.0.2.1") });
  expect(adapter(book).diff(URN, old, decoded({ host: "agent-1" }))).toEqual([]);
  const seen = await adapter(book).read(URN, old, old);
  expect(seen?.values).toMatchObject({ host: "agent-1" });
  expect(namedHosts(old.plain).remembered).toEqual({ "agent-1": at("agent-1", "192.0.2.1") });
});

test("what lies on a host that was taken out of the inventory is taken away there, by what is remembered", async () => {
  const pool = fakePool();
  const book = new HostBook(pool, () => [at("other", "192.0.2.9")]);
  const state = { host: "agent-1", reachedAt: { "agent-1": at("agent-1", "192.0.2.1") } };
  await adapter(book).delete(URN, decoded(state));
  expect(pool.dialled).toEqual(["192.0.2.1 ssh-ed25519 A"]);
  await expect(adapter(book).delete(URN, decoded({ host: "agent-1" }))).rejects.toMatchObject({
    code: "BAD_INVENTORY",
    message: expect.stringContaining("agent-1 is not in the inventory"),
  });
});

test("an inventory that cannot be read is told only where nothing is remembered", async () => {
  const pool = fakePool();
  const book = new HostBook(pool, () => {
    throw new ConvocateError("BAD_INVENTORY", "x.yaml:3:1: unknown key");
  });
  await adapter(book).delete(URN, decoded({ host: "agent-1", reachedAt: { "agent-1": at("agent-1", "192.0.2.1") } }));
  expect(pool.dialled).toHaveLength(1);
  await expect(adapter(book).create(URN, decoded({ host: "agent-1" }), false)).rejects.toThrow("x.yaml:3:1");
});

test("a host that does not answer is dialled once, not for each of its resources", async () => {
  const pool = fakePool(["192.0.2.1"]);
  const book = new HostBook(pool, () => [at("agent-1", "192.0.2.1")]);
  for (let i = 0; i < 3; i++)
    await expect(adapter(book).create(URN, decoded({ host: "agent-1" }), false)).rejects.toThrow("no answer");
  expect(pool.dialled).toHaveLength(1);
});

test("a host that is gone is not dialled: reads leave the state, deletes forget, and nothing is made there", async () => {
  const pool = fakePool();
  const book = new HostBook(pool, () => [at("agent-1", "192.0.2.1")], ["agent-1"]);
  const state = decoded({ host: "agent-1" });
  expect((await adapter(book).read(URN, state, state))?.values).toEqual({ host: "agent-1" });
  await adapter(book).delete(URN, state);
  await expect(adapter(book).create(URN, state, false)).rejects.toThrow("gone");
  expect(pool.dialled).toEqual([]);
});

test("a host that cannot be asked leaves its resources as they were, says so, and the step that follows fails with why", async () => {
  const pool = fakePool(["192.0.2.1"]);
  const warned: string[] = [];
  const book = new HostBook(pool, () => [at("agent-1", "192.0.2.1")]);
  const asked = new Adapter(
    [here],
    book,
    () => undefined,
    (_urn, message) => warned.push(message),
  );
  const old = decoded({ host: "agent-1" });
  const seen = await asked.read(URN, old, old);
  expect(warned).toEqual(["TIMEOUT: agent-1: no answer"]);
  expect(seen?.values).toMatchObject({ host: "agent-1" });
  const unasked = decoded(seen!.values);
  expect(asked.diff(URN, unasked, old)).toEqual([{ path: "unasked", kind: "change" }]);
  for (const preview of [true, false])
    await expect(asked.update(URN, unasked, old, preview)).rejects.toMatchObject({ code: "TIMEOUT" });
  // Once it answers again, what was remembered of its silence is gone.
  const again = new HostBook(fakePool(), () => [at("agent-1", "192.0.2.1")]);
  expect((await adapter(again).read(URN, unasked, old))?.values).not.toHaveProperty("unasked");
});
