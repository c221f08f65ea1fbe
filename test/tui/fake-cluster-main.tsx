/**
 * The TUI on a cluster in memory, as a program of its own, for tests that type into a real terminal.
 *
 *   fake-cluster-main SCENARIO     few | locked | none | no-agents | many | varied | hostile | crash-draw | crash-list |
 *                                  crash-elsewhere
 *
 * SIGUSR2 takes the session `fleeting` away. It ends with a line that says how: `ended well`, or `ended with CODE: message`.
 */
import { toConvocateError } from "../../runtime/domain/index.js";
import { processTerminal } from "../../runtime/shell/attach/terminal.js";
import type { SessionView } from "../../runtime/shell/cluster.js";
import { runTui } from "../../runtime/shell/tui/index.js";
import { FakeCluster } from "./fake-cluster.js";
import {
  ATTACK,
  agentView,
  manySessions,
  running,
  sessionId,
  sessionView,
  stopped,
  variedAgents,
  variedSessions,
} from "./fixtures.js";

const few = (): SessionView[] => [
  sessionView(1, "alpha", { status: running(2), port: 1001, dns_name: "alpha.lab" }),
  sessionView(2, "beta", { status: stopped(1) }),
  sessionView(3, "fleeting", { status: running() }),
  sessionView(4, "gamma", { status: stopped() }, { agent: 2 }),
  sessionView(5, "slow", { status: stopped() }),
  sessionView(6, "stubborn", { status: running() }),
  sessionView(7, "unattachable", { status: running() }),
];
const agents = [agentView(1), agentView(2)];

function clusterOf(scenario: string): FakeCluster {
  switch (scenario) {
    case "few":
      return new FakeCluster(few(), agents);
    case "locked":
      return new FakeCluster(
        [
          sessionView(1, "live", { status: { state: "locked", operation: "clone", since: new Date().toISOString() } }),
          sessionView(2, "stale", {
            status: { state: "locked", operation: "kill", since: "2026-01-01T00:00:00.000Z", stale: true },
          }),
          sessionView(3, "root", { docker: true, restart_to_apply: true }),
        ],
        agents,
      );
    case "hostile":
      return new FakeCluster(
        [
          sessionView(1, `evil${ATTACK}`, { dns_name: ATTACK, status: { state: "error", message: `bad${ATTACK}` } }),
          sessionView(2, "wide", { status: { state: "error", message: "目录 /home/プロジェクト 🚀 is gone" } }),
        ],
        [agentView(1, { name: `agent${ATTACK}`, release: ATTACK })],
      );
    case "none":
      return new FakeCluster([], [agentView(1)]);
    case "no-agents":
      return new FakeCluster([], []);
    case "many":
      return new FakeCluster(
        manySessions(10_000),
        Array.from({ length: 10 }, (_, index) => agentView(index + 1)),
      );
    case "varied":
      return new FakeCluster(variedSessions(), variedAgents());
    case "crash-draw":
    case "crash-list":
      return new CrashingCluster(few(), agents);
    case "crash-elsewhere":
      setTimeout(() => {
        throw new Error("a crash elsewhere");
      }, 1500);
      return new FakeCluster(few(), agents);
    default:
      throw new Error(`no scenario ${scenario}`);
  }
}

/** After a while it lists a session that cannot be drawn, or not even listed: our own bugs, as seen from the terminal. */
class CrashingCluster extends FakeCluster {
  readonly #startedMs = Date.now();
  override sessions(): SessionView[] {
    const views = super.sessions();
    const broken = sessionView(99, "broken");
    // The list reads every property once, to make it safe to print; drawing reads it again.
    let reads = process.argv[2] === "crash-draw" ? 1 : 0;
    const { status } = broken.session;
    const get = (): typeof status => {
      if (reads === 0) throw new Error("a crash in drawing");
      reads -= 1;
      return status;
    };
    Object.defineProperty(broken.session, "status", { get, enumerable: true });
    return Date.now() - this.#startedMs < 1500 ? views : [...views, broken];
  }
  override async refresh(): Promise<void> {
    await super.refresh();
    setTimeout(() => void this.restart(sessionId(2)), 1500);
  }
}

await using cluster = clusterOf(process.argv[2] ?? "few");
process.on("SIGUSR2", () => cluster.vanish(sessionId(3)));
try {
  await runTui(cluster, { terminal: processTerminal(), clusterName: "fake" });
  console.log("ended well");
} catch (thrown) {
  const error = toConvocateError(thrown);
  console.log(`ended with ${error.code}: ${error.message}`);
  process.exitCode = error.exitCode;
}
