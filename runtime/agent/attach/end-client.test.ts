import { describe, expect, test } from "@jest/globals";
import { ManualClock } from "../../../test/agent/manual-clock.js";
import type { ExecState } from "../containers/engine.js";
import { endClient, type HostProcesses } from "./end-client.js";

/** A host with one process of the container `c1`. */
class FakeHost implements HostProcesses {
  alive = true;
  readonly signals: string[] = [];
  stubborn = false;

  async isIn(pid: number, containerId: string): Promise<boolean> {
    return this.alive && pid === 42 && containerId === "c1";
  }

  signal(pid: number, signal: "SIGTERM" | "SIGKILL"): void {
    this.signals.push(`${signal} ${pid}`);
    if (signal === "SIGKILL" || !this.stubborn) this.alive = false;
  }
}

async function end(
  host: FakeHost,
  states: (ExecState | null | Error)[],
  { lastPid = 0, containerId = "c1" } = {},
): Promise<void> {
  const clock = new ManualClock();
  const done = endClient({
    state: async () => {
      const state = states.length > 1 ? states.shift() : states[0];
      if (state instanceof Error) throw state;
      return state ?? null;
    },
    lastPid,
    containerId,
    processes: host,
    clock,
  });
  // More than appearing, leaving and being killed take together.
  for (let i = 0; i < 100; i++) await clock.advance(25);
  await done;
}

const running = (pid: number): ExecState => ({ running: true, pid, exitCode: null, argv: [] });

describe("endClient", () => {
  test("ends the process with SIGTERM", async () => {
    const host = new FakeHost();
    await end(host, [running(42)]);
    expect(host.signals).toEqual(["SIGTERM 42"]);
  });

  test("kills one that does not leave", async () => {
    const host = new FakeHost();
    host.stubborn = true;
    await end(host, [running(42)]);
    expect(host.signals).toEqual(["SIGTERM 42", "SIGKILL 42"]);
  });

  test("touches no process that has ended, or whose number is another's by now", async () => {
    const host = new FakeHost();
    await end(host, [{ running: false, pid: 42, exitCode: 0, argv: [] }]);
    await end(host, [running(43)]);
    await end(host, [running(42)], { containerId: "c2" });
    expect(host.signals).toEqual([]);
  });

  test("waits for one that is about to begin", async () => {
    const host = new FakeHost();
    await end(host, [running(0), running(0), running(42)]);
    expect(host.signals).toEqual(["SIGTERM 42"]);
  });

  test("uses the last known number when Docker is gone or knows the exec no more", async () => {
    for (const state of [null, new Error("Docker does not answer")]) {
      const host = new FakeHost();
      await end(host, [state], { lastPid: 42 });
      expect(host.signals).toEqual(["SIGTERM 42"]);
    }
  });
});
