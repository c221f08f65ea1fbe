import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { eventually } from "../../../test/support/eventually.js";
import { FakeDocker } from "../../../test/agent/fake-docker.js";
import { AgentId, ConvocateError } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { systemClock } from "../clock.js";
import { ImageWatch } from "./image-watch.js";
import { Spool } from "./spool.js";

let root: string;
let docker: FakeDocker;
let spool: Spool;
let watch: ImageWatch;

async function startWatch(): Promise<void> {
  const agentId = AgentId.parse("abcd1234");
  spool = new Spool({ path: join(root, "spool.db"), agentId, clock: systemClock, log: silentLog });
  watch = new ImageWatch({ docker, spool, clock: systemClock, log: silentLog });
  watch.start();
  await eventually("the watch to listen", () => docker.imageListeners > 0);
}

async function stopWatch(): Promise<void> {
  await watch[Symbol.asyncDispose]();
  spool.close();
}

const told = (): string[] =>
  spool.after(0, 100).map(({ type, data }) => `${type} ${String(data["image"])} ${String(data["id"])}`);

/** What was reported, once it is that many, and nothing more came. */
async function reported(count: number): Promise<string[]> {
  await eventually(`${count} events`, () => told().length >= count);
  await systemClock.sleep(30);
  return told();
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "convocate-images-"));
  docker = new FakeDocker();
  docker.tag("convocate:1.0.0", "sha256:a");
  await startWatch();
  await reported(1);
});
afterEach(async () => {
  await stopWatch();
  rmSync(root, { recursive: true });
});

describe("ImageWatch", () => {
  test("reports a tag that came, one that moved and one that went, and no other image's", async () => {
    docker.tag("debian:12");
    docker.tag("convocate:2.0.0", "sha256:b");
    await reported(2);
    docker.tag("convocate:2.0.0", "sha256:c");
    await reported(3);
    docker.untag("convocate:1.0.0");
    docker.untag("debian:12");
    expect(await reported(4)).toEqual([
      "image.loaded convocate:1.0.0 sha256:a",
      "image.loaded convocate:2.0.0 sha256:b",
      "image.loaded convocate:2.0.0 sha256:c",
      "image.pruned convocate:1.0.0 sha256:a",
    ]);
  });

  test("reports a tag that is gone again by the time it is looked for", async () => {
    docker.tag("convocate:2.0.0", "sha256:b");
    docker.untag("convocate:2.0.0");
    expect((await reported(3)).slice(1)).toEqual([
      "image.loaded convocate:2.0.0 sha256:b",
      "image.pruned convocate:2.0.0 sha256:b",
    ]);
  });

  test("reports what happened while the agent was down, once, and nothing again", async () => {
    await stopWatch();
    docker.tag("convocate:2.0.0", "sha256:b");
    docker.untag("convocate:1.0.0");
    await startWatch();
    const all = await reported(3);
    expect(all.slice(1)).toEqual(["image.loaded convocate:2.0.0 sha256:b", "image.pruned convocate:1.0.0 sha256:a"]);
    await stopWatch();
    await startWatch();
    docker.tag("convocate:3.0.0", "sha256:c");
    expect(await reported(4)).toEqual([...all, "image.loaded convocate:3.0.0 sha256:c"]);
  });

  test("reports what happened while dockerd was down", async () => {
    docker.down = new ConvocateError("DOCKER_ERROR", "Docker does not answer");
    docker.dropListeners();
    await systemClock.sleep(50);
    docker.untag("convocate:1.0.0");
    docker.down = null;
    expect((await reported(2)).slice(1)).toEqual(["image.pruned convocate:1.0.0 sha256:a"]);
  });

  test("takes a list that fails for no list", async () => {
    docker.down = new ConvocateError("DOCKER_ERROR", "Docker does not answer");
    docker.tag("convocate:2.0.0", "sha256:b");
    await systemClock.sleep(30);
    docker.down = null;
    expect((await reported(2)).slice(1)).toEqual(["image.loaded convocate:2.0.0 sha256:b"]);
  });
});
