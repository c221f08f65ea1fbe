import { describe, expect, test } from "@jest/globals";
import type { AgentView } from "../../cluster.js";
import { at, cluster, ESC, keys, listed, play, SESSIONS } from "../../../../test/support/tui-model.js";
import { agentView, NOW_MS, sessionView } from "../../../../test/tui/fixtures.js";
import { drawState } from "../draw/frame.js";
import type { Action } from "./state.js";

describe("flapping", () => {
  const down = agentView(2, { connection: { state: "connecting", since: 0, error: "lost" } });
  const turn = (ms: number, agent: AgentView): Action[] => [at(NOW_MS + ms), cluster(SESSIONS, [agentView(1), agent])];

  test("an agent that comes and goes is shown as such, until it has been quiet for two minutes", () => {
    const once = listed(...turn(1000, down), ...turn(2000, agentView(2)));
    expect(once.snapshot.agents[1]?.state).toBe("up");
    const flapping = play(once, ...turn(20_000, down), ...turn(21_000, agentView(2))).state;
    expect(flapping.snapshot.agents[1]).toMatchObject({ state: "flapping", reachable: true });
    expect(drawState(flapping, false)).toMatch(/◌ agent-2 +flapping/);
    expect(drawState(flapping, false)).toContain("agent-2 comes and goes");
    const quiet = play(flapping, ...turn(200_000, agentView(2))).state;
    expect(quiet.snapshot.agents[1]?.state).toBe("up");
  });
});

test("names, titles and errors with escape sequences are made safe where they come in", () => {
  const evil = "x\u001b]52;c;ZXZpbA==\u0007\u001b[2J\u001b[1;1Hy\u0007\u009b31m\u202e";
  const sessions = [
    sessionView(
      1,
      evil,
      { dns_name: evil, image: evil, status: { state: "error", message: evil } },
      { agentName: evil },
    ),
  ];
  const agents = [
    agentView(1, { name: evil, release: evil, connection: { state: "connecting", since: 0, error: evil } }),
  ];
  let { state } = play(listed(), cluster(sessions, agents));
  expect(JSON.stringify([...state.snapshot.sessions.values(), state.snapshot.agents])).not.toMatch(
    /\\u00[01]|\\u009b|\u009b|\u202e/,
  );
  for (const letter of ["", "E", "D", "S", "?"]) {
    state = play(state, ...keys(ESC, ESC, letter)).state;
    expect(drawState(state, false).replaceAll("\n", "")).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  }
});
