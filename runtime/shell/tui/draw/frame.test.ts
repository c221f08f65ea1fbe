import { describe, expect, test } from "@jest/globals";
import stringWidth from "string-width";
import {
  ago,
  agentId,
  agentView,
  capacity,
  heard,
  manySessions,
  NOW_MS,
  sessionView,
  variedAgents,
  variedSessions,
} from "../../../../test/tui/fixtures.js";
import { STACK_SETTINGS } from "../../../../test/support/samples.js";
import { cluster, keys, play, SIZES, started, TAB } from "../../../../test/support/tui-model.js";
import type { AgentView } from "../../cluster.js";
import type { Action, State } from "../model/state.js";
import { drawFrame, drawState } from "./frame.js";

const varied = {
  clusterName: "lab",
  sessions: variedSessions(),
  agents: variedAgents(),
  capacities: new Map([[agentId(1), capacity({ cpus: 3, memory_bytes: 28 * 1024 ** 3 })]]),
  nowMs: NOW_MS,
  load: [0.42, 0.4, 0.31],
};

/** That cluster at a size, and then those actions. */
const stateOf = (size: { cols: number; rows: number }, ...actions: Action[]): State =>
  started(
    size,
    cluster(varied.sessions, varied.agents),
    ...[...varied.capacities].map(([agent, each]): Action => ({ type: "capacity", agent, capacity: each })),
    { type: "loaded" },
    ...actions,
  );

describe.each(SIZES)("at $cols x $rows", ({ cols, rows }) => {
  test("the frame fills the terminal and passes it nowhere", () => {
    const lines = drawFrame(varied, { cols, rows, color: false }).split("\n");
    expect(lines).toHaveLength(rows);
    for (const text of lines) expect(stringWidth(text)).toBeLessThanOrEqual(cols);
  });

  test("a row shows status, name, agent, port, DNS, detail and last use", () => {
    const frame = drawFrame(varied, { cols, rows, color: false });
    expect(frame).toMatch(/› R {2}api-server +agent-1 +1001\/tcp +api\.lab +waiting 3m(: permission)? +2m ago/);
    expect(frame).toMatch(/C {2}billing-refactor +agent-2 +- +- +working 47s +now/);
    expect(frame).toMatch(/- {2}crawler +.*exited 1 +2h ago/);
    expect(frame).toMatch(/- {2}etl-nightly +.*OOM-killed +1d ago/);
    expect(frame).toMatch(/L {2}flaky-tests +.*starting 1s +now/);
    expect(frame).toMatch(/\? {2}game-server +agent-3 +5353\/udp +- +no answer 5s/);
    expect(frame).toMatch(/! {2}infra +.*Docker does n/);
  });

  test("title, agents strip, UUID and keys are there", () => {
    const frame = drawFrame(varied, { cols, rows, color: false });
    expect(frame).toMatch(/ convocate {2}lab +load 0\.42 0\.40 0\.31 {3}14:03:22 {3}agents 1\/3/);
    expect(frame).toMatch(/● agent-1 +up +5 sessions +cpu █▒+·+ +42% +mem █+▒+·* +97% /);
    expect(frame).toMatch(/◐ agent-2 +silent +3 sessions +cpu +mem /);
    expect(frame).toMatch(/○ agent-3 +connecting +1 session +refused the connection/);
    expect(frame).toContain("3f2a91c4-5d07-4b6e-8a10-000000000001");
    expect(frame).toMatch(
      / Enter attach {2}N new {2}B background {2}R restart {2}K kill {2}D delete .*\? help {2}Q quit/,
    );
  });

  test("every dialog fits and says how to leave it", () => {
    for (const letter of ["?", "n", "K", "D", "R", "C", "E", "M", "S", "L", "P"]) {
      const frame = drawState(stateOf({ cols, rows }, ...keys(letter)), false);
      expect(frame.split("\n")).toHaveLength(rows);
      expect(frame).toMatch(/╭─ .* ─+╮/);
      expect(frame).toMatch(/│ .*Esc (close|cancel|leave) +│/);
    }
  });
});

test("an agent that hears nothing, or is not heard, says so in the strip, the status line and its settings", () => {
  const lost = { ...heard(1, "connected"), peer_lost_since: ago(200) };
  const connection = { state: "connecting", since: NOW_MS - 210_000, error: "timed out" } as const;
  const frameOf = (view: AgentView): string => {
    const list = stateOf({ cols: 120, rows: 40 }, cluster([], [view]));
    return `${drawState(list, false)}\n${drawState(play(list, ...keys("S")).state, false)}`;
  };
  const deaf = frameOf(agentView(1, { connection, heard: lost }));
  expect(deaf).toMatch(/◑ agent-1 +deaf/);
  expect(deaf).toContain("agent-1 has heard nothing from this host for 3m");
  expect(deaf).toMatch(/Events +heartbeat 10s ago; it hears nothing from here for 3m/);
  const silent = frameOf(agentView(1, { heard: { ...heard(1, "silent"), last_heartbeat_at: ago(95) } }));
  expect(silent).toMatch(/◐ agent-1 +silent/);
  expect(silent).toContain("no event from agent-1 for 1m");
  expect(silent).toMatch(/Events +none for 1m/);
  // What it said before it fell silent is no news of it.
  expect(frameOf(agentView(1, { connection, heard: { ...lost, connection: "silent" } }))).toMatch(
    /○ agent-1 +connecting/,
  );
});

test("a word that does not fit beside the UUID takes its place, and is whole", () => {
  const size = { cols: 80, rows: 24 };
  const uuid = "3f2a91c4-5d07-4b6e-8a10-000000000001";
  const text = "this many words do not fit beside a UUID of 36 characters";
  const state = stateOf(size);
  const told = (words: string): string =>
    drawState({ ...state, notice: { tone: "info", text: words, untilMs: NOW_MS + 1000 } }, false);
  expect(told(text)).toMatch(new RegExp(`^ +${text}$`, "m"));
  expect(told("these do")).toMatch(new RegExp(`^ ${uuid} +these do$`, "m"));
});

test("a form's fields stay where they are while one moves between them, and say what nothing stands for", () => {
  const tops = new Set<number>();
  let state = stateOf({ cols: 80, rows: 24 }, ...keys("n"));
  expect(drawState(state, false)).toMatch(/Port +none/);
  expect(drawState(state, false)).toMatch(/Memory +the agent's default/);
  for (let tab = 0; tab < 10; tab += 1) {
    tops.add(
      drawState(state, false)
        .split("\n")
        .findIndex((text) => text.includes("╭─ New session")),
    );
    ({ state } = play(state, ...keys(TAB)));
  }
  expect([...tops]).toHaveLength(1);
});

test("the cursor is drawn where what is typed goes, with what is right of it", () => {
  const typed = stateOf({ cols: 80, rows: 24 }, ...keys("nabc"));
  const left = play(typed, ...keys({ name: "left" })).state;
  expect(drawState(typed, true)).toMatch(/abc\u001b\[7m \u001b/);
  expect(drawState(left, true)).toMatch(/ab\u001b\[7mc\u001b/);
});

test("the settings of a full agent of many are reached in the smallest terminal, with how to leave them", () => {
  const agents = Array.from({ length: 10 }, (_, index) =>
    agentView(index + 1, { heard: { ...heard(index + 1, "connected"), peer_lost_since: ago(200) } }),
  );
  const warnings = ["one warning", "another warning", "a third warning"];
  let state = stateOf(
    { cols: 80, rows: 20 },
    { type: "cluster", sessions: [], agents },
    { type: "capacity", agent: agentId(1), capacity: { ...capacity({}), warnings } },
    ...keys("S"),
    { type: "settings", agent: agentId(1), loaded: { effective: STACK_SETTINGS, changes: {} } },
  );
  expect(drawState(state, false)).toContain("› Agent");
  for (const field of ["CPU %", "Memory %", "Disk %", "CPUs", "Memory", "Disk", "Processes", "Cordoned"]) {
    ({ state } = play(state, ...keys(TAB)));
    const frame = drawState(state, false);
    expect(frame).toContain(`› ${field} `);
    expect(frame).toContain("Enter save   Tab next field   Esc leave");
  }
  expect(drawState(state, false)).toContain("a third warning");
  expect(drawState(state, false)).toContain("the sessions it has go on");
});

test("the confirmation names the session and its agent", () => {
  expect(drawState(stateOf({ cols: 80, rows: 24 }, ...keys("D")), false)).toContain("Delete api-server on agent-1?");
});

test("a wrong name is complained about while it is typed, in the field's own words", () => {
  const state = stateOf({ cols: 80, rows: 24 }, ...keys("na "));
  expect(drawState(state, false)).toContain("must be 1 to 64 of letters, digits, _ and -");
});

test("a long error is shown whole, wrapped, and can be scrolled", () => {
  const words = Array.from({ length: 400 }, (_, index) => `word${index}`);
  const failed: Action = {
    type: "attach-ended",
    name: "api-server",
    outcome: { kind: "failed", error: new Error(words.join(" ")) },
  };
  let state = stateOf({ cols: 80, rows: 24 }, failed);
  let seen = "";
  for (let page = 0; page < 8; page += 1) {
    seen += drawState(state, false);
    state = play(state, ...keys({ name: "pagedown" })).state;
  }
  for (const word of words) expect(seen).toMatch(new RegExp(`\\b${word}\\b`));
});

test("control characters from the wire do not reach the terminal", () => {
  const agents = [agentView(1, { name: "a\u001b[2Jb\u0007\u009bc\u202e" })];
  const sessions = [sessionView(1, "x", { status: { state: "error", message: "bad\r\n\u001b]0;title\u0007end" } })];
  const frame = drawFrame({ ...varied, agents, sessions }, { cols: 80, rows: 24, color: false });

  expect(frame.replaceAll("\n", "")).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  expect(frame).toContain("bad end");
});

test("wide characters keep the columns aligned", () => {
  const sessions = [
    sessionView(1, "one", {}, { agentName: "東京-1" }),
    sessionView(2, "two", {}, { agentName: "oslo" }),
  ];
  const lines = drawFrame({ ...varied, sessions }, { cols: 80, rows: 24, color: false }).split("\n");
  const widthBefore = (text: string | undefined): number => stringWidth(text?.split("2m ago")[0] ?? "");
  expect(widthBefore(lines[2])).toBe(widthBefore(lines[3]));
});

test("only the 16 ANSI colours are used, and with color: false no escape sequence at all", () => {
  const coloured = drawFrame(varied, { cols: 120, rows: 40, color: true });

  const codes = new Set(
    [...coloured.matchAll(/\u001b\[([\d;]*)m/g)].flatMap(([, parameters = ""]) => parameters.split(";")),
  );
  expect([...codes].filter((code) => !/^([0-9]|2[0-9]|3[1-6]|39)$/.test(code))).toEqual([]);
  expect(codes.has("7")).toBe(true);
  expect(drawFrame(varied, { cols: 120, rows: 40, color: false })).not.toContain("\u001b");
});

test("an empty cluster, no agents and a first start each say what to do next", () => {
  const size = { cols: 80, rows: 24, color: false };
  expect(drawFrame({ ...varied, sessions: [], agents: [agentView(1)] }, size)).toContain("Press N to create");
  expect(drawFrame({ ...varied, sessions: [], agents: [] }, size)).toContain("convocate-host init-agent");
  expect(drawState(started(size), false)).toContain("Looking for agents");
});

test("a list longer than the screen says at its right edge where in it one is", () => {
  const size = { cols: 80, rows: 24 };
  const many = cluster(manySessions(40), [agentView(1)]);
  const bar = (state: State): string =>
    drawState(state, false)
      .split("\n")
      .slice(2, -4)
      .map((text) => (text.padEnd(80)[79] === "▐" ? "x" : "."))
      .join("");
  const top = stateOf(size, many);
  expect(bar(top)).toMatch(/^x{8}\.+$/);
  expect(bar(play(top, ...keys({ name: "end" })).state)).toMatch(/^\.+x{8}$/);
  expect(bar(stateOf(size))).not.toContain("x");
});

test("below 80x20 it says so", () => {
  expect(drawFrame(varied, { cols: 79, rows: 20, color: false })).toContain("needs 80x20");
  expect(drawFrame(varied, { cols: 80, rows: 19, color: false })).toContain("this terminal is 80x19");
  const tiny = drawFrame(varied, { cols: 20, rows: 5, color: false });
  expect(
    tiny
      .split("\n")
      .map((text) => text.trim())
      .join(" "),
  ).toBe("convocate needs 80x20; this terminal is 20x5. Make it larger, or Q to quit.");
});

test("a frame of 10,000 sessions costs about what one of 50 costs", () => {
  const size = { cols: 200, rows: 60 };
  const cost = (count: number): number => {
    let state = started(size, cluster(manySessions(count), [agentView(1)]));
    const times: number[] = [];
    for (let run = 0; run < 40; run += 1) {
      state = play(state, ...keys({ name: run % 2 ? "pagedown" : "down" })).state;
      const startMs = performance.now();
      drawState(state, true);
      times.push(performance.now() - startMs);
    }
    return times.sort((a, b) => a - b)[20] ?? Infinity;
  };
  cost(100);
  const few = cost(60);
  const many = cost(10_000);
  process.stderr.write(
    `frame at 200x60, median: ${few.toFixed(1)} ms of 60 sessions, ${many.toFixed(1)} ms of 10,000\n`,
  );
  // Drawing everything would cost 740 ms; the bound leaves room for a busy machine.
  expect(many).toBeLessThan(few * 10 + 100);
});
