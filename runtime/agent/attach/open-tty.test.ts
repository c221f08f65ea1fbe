import { beforeEach, expect, test } from "@jest/globals";
import { FakeDocker } from "../../../test/agent/fake-docker.js";
import type { FakeTty } from "../../../test/agent/fake-tty.js";
import { AgentSettings, newSessionId } from "../../domain/index.js";
import { AttachHeader } from "../../protocol/attach/header.js";
import { silentLog } from "../../protocol/log.js";
import { systemClock, type Clock } from "../clock.js";
import { SESSION_LABEL } from "../containers/engine.js";
import { openTty } from "./open-tty.js";

const NAME = "convocate-session-one";
const never = new AbortController().signal;
/** A hundred times as fast. */
const clock: Clock = { ...systemClock, after: (ms, act) => systemClock.after(ms / 100, act) };
let docker: FakeDocker;
/** What each TTY does once it is there. */
let then: ((tty: FakeTty) => void)[];

beforeEach(async () => {
  docker = new FakeDocker();
  docker.images.add("convocate:1");
  await docker.create({ name: NAME, Image: "convocate:1", Labels: { [SESSION_LABEL]: "one" } });
  await docker.start(NAME);
  const open = docker.openTty.bind(docker);
  docker.openTty = async (...request) => {
    const tty = await open(...request);
    then.shift()?.(tty);
    return tty;
  };
});

async function opened(gone: AbortSignal = never): Promise<FakeTty> {
  const processes = {
    isIn: async (pid: number) => docker.ttys.some((tty) => tty.pid === pid && tty.exitCode === null),
    signal: (pid: number) => docker.ttys.find((tty) => tty.pid === pid)?.end(143),
  };
  const settings = AgentSettings.parse({ name: "a" });
  const header = AttachHeader.parse({ id: newSessionId(), cols: 80, rows: 24 });
  return (await openTty({ docker, settings, processes, clock, log: silentLog }, NAME, header, gone)) as FakeTty;
}

const speak = (tty: FakeTty): void => tty.show("[screen]");
const silent = (): void => undefined;

test("its first output stays in the stream", async () => {
  then = [speak];
  const tty = await opened();
  for await (const chunk of tty.stream) {
    expect(String(chunk)).toBe("[screen]");
    break;
  }
  expect(docker.ttys).toHaveLength(1);
});

test("one that Docker shows nothing of is ended, and another started", async () => {
  then = [silent, silent, speak];
  const tty = await opened();
  expect(docker.ttys.map(({ exitCode }) => exitCode)).toEqual([143, 143, null]);
  expect(tty).toBe(docker.ttys[2]);
});

test("the third is taken as it is", async () => {
  then = [silent, silent, silent];
  expect(await opened()).toBe(docker.ttys[2]);
  expect(docker.ttys[2]?.exitCode).toBeNull();
});

test("one that ended, and one whose client left, is not waited for", async () => {
  then = [(tty) => tty.end(1)];
  expect((await opened()).exitCode).toBe(1);
  then = [silent];
  await opened(AbortSignal.abort());
  expect(docker.ttys).toHaveLength(2);
});
