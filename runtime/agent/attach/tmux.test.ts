import { expect, test } from "@jest/globals";
import { FakeDocker } from "../../../test/agent/fake-docker.js";
import { ManualClock } from "../../../test/agent/manual-clock.js";
import { newSessionId } from "../../domain/index.js";
import { containerName } from "../containers/spec.js";
import { READY_MS, waitForTmux } from "./tmux.js";

test("a tmux that does not answer is waited for 10 s, also when somebody sets the host's clock back", async () => {
  const [docker, clock, id] = [new FakeDocker(), new ManualClock(), newSessionId()];
  docker.images.add("convocate:1");
  await docker.create({ name: containerName(id), Image: "convocate:1" });
  await docker.start(containerName(id));
  docker.onRun = () => ({ exitCode: 1, output: "" });
  const waiting = waitForTmux(docker, { uid: 1, gid: 1 }, id, clock, new AbortController().signal);
  const refused = expect(waiting).rejects.toMatchObject({ code: "TIMEOUT" });
  clock.set(-3_600_000);
  for (let ms = 0; ms <= READY_MS + 200; ms += 100) {
    await clock.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await refused;
});
