import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { sampleMetadata } from "../../../test/support/samples.js";
import { newSessionId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { MetadataStore } from "./metadata.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "convocate-metadata-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("MetadataStore", () => {
  test("keeps sessions across a restart, in files that only their owner can read", async () => {
    const store = await MetadataStore.open(folder, silentLog);
    const one = sampleMetadata({ port: 1001 });
    await store.put(one);
    expect(statSync(join(folder, `${one.id}.json`)).mode & 0o777).toBe(0o600);
    expect((await MetadataStore.open(folder, silentLog)).all()).toEqual([one]);
  });

  test("leaves no temporary file behind, and removes what a crash left", async () => {
    writeFileSync(join(folder, "x.json.abc.part"), "{");
    const store = await MetadataStore.open(folder, silentLog);
    await store.tidy();
    const one = sampleMetadata();
    await store.put(one);
    expect(readdirSync(folder)).toEqual([`${one.id}.json`]);
  });

  test("applies updates one after another, so none is lost", async () => {
    const store = await MetadataStore.open(folder, silentLog);
    const one = sampleMetadata();
    await store.put(one);
    await Promise.all([
      store.update(one.id, { started_before: true }),
      store.update(one.id, { last_accessed_at: "2026-11-22T00:00:00.000Z" }),
      store.update(one.id, { name: "two" }),
    ]);
    const written: unknown = JSON.parse(readFileSync(join(folder, `${one.id}.json`), "utf8"));
    expect(written).toMatchObject({ started_before: true, last_accessed_at: "2026-11-22T00:00:00.000Z", name: "two" });
    expect(store.get(one.id)).toEqual(written);
  });

  test("does not bring a removed session back by an update that comes late", async () => {
    const store = await MetadataStore.open(folder, silentLog);
    const one = sampleMetadata();
    await store.put(one);
    await Promise.all([store.remove(one.id), store.update(one.id, { name: "two" })]);
    expect(store.get(one.id)).toBeUndefined();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("leaves files alone that it cannot understand, and says which", async () => {
    const good = sampleMetadata();
    const stranger = sampleMetadata();
    writeFileSync(join(folder, `${good.id}.json`), JSON.stringify(good));
    writeFileSync(join(folder, "broken.json"), '{"id":');
    writeFileSync(join(folder, `${newSessionId()}.json`), JSON.stringify(stranger));
    writeFileSync(join(folder, "up.json"), JSON.stringify({ ...stranger, id: "../../etc" }));
    const said: unknown[] = [];
    const store = await MetadataStore.open(folder, { ...silentLog, error: (fields) => void said.push(fields["file"]) });
    expect(store.all()).toEqual([good]);
    expect(said).toHaveLength(3);
    expect(readdirSync(folder)).toHaveLength(4);
  });
});
