import { describe, expect, test } from "@jest/globals";
import { ConvocateError } from "../../../domain/index.js";
import { STACK_SETTINGS } from "../../../../test/support/samples.js";
import { at, ENTER, ESC, keys, listed, play, selectedName, TAB } from "../../../../test/support/tui-model.js";
import {
  agentId,
  agentView,
  capacity,
  NOW_MS,
  sessionId,
  sessionView,
  stopped,
} from "../../../../test/tui/fixtures.js";
import { drawState } from "../draw/frame.js";
import type { Action } from "./state.js";

describe("logs and preview", () => {
  const lines = (from: number, count: number): { timestamp: string; text: string }[] =>
    Array.from({ length: count }, (_, index) => ({
      timestamp: new Date(NOW_MS + (from + index) * 1000).toISOString(),
      text: `line ${from + index}\u001b]52;c;eA==\u0007`,
    }));
  const told = (from: number, count: number): Action => ({ type: "logs", id: sessionId(1), lines: lines(from, count) });

  test("L follows: asks every second for what is new, never twice at once", () => {
    const opened = play(listed(), ...keys("L"), at(NOW_MS + 1000));
    expect(opened.effects).toEqual([{ type: "logs", id: sessionId(1) }]);
    const followed = play(opened.state, told(0, 3), at(NOW_MS + 2000));
    expect(followed.effects).toEqual([{ type: "logs", id: sessionId(1), after: lines(2, 1)[0]?.timestamp }]);
    const shown = drawState(play(followed.state, told(2, 3)).state, false);
    expect(shown.match(/line 2/g)).toHaveLength(1);
    expect(shown).toContain("line 4");
    expect(shown).not.toContain("\u001b");
  });

  test("what is scrolled back to stays in place while more comes, and End follows again", () => {
    const opened = play(listed(), ...keys("L"), told(0, 100), ...keys({ name: "pageup" })).state;
    const first = /line \d+/.exec(drawState(opened, false))?.[0];
    const more = play(opened, told(100, 50)).state;
    expect(/line \d+/.exec(drawState(more, false))?.[0]).toBe(first);
    expect(drawState(play(more, ...keys({ name: "end" })).state, false)).toContain("line 149");
  });

  test("an answer that comes after the dialog was closed opens nothing", () => {
    const closed = play(listed(), ...keys("L", ESC), told(0, 3)).state;
    expect(closed.dialog).toBeNull();
    expect(
      play(listed(), ...keys("P", ESC), { type: "screen", id: sessionId(1), lines: ["x"] }).state.dialog,
    ).toBeNull();
  });

  test("in a preview j and k go on to the next session that runs, and Enter attaches to it", () => {
    const sessions = [
      sessionView(1, "a"),
      sessionView(2, "b", { status: stopped() }),
      sessionView(3, "c", {}, { reachable: false }),
      sessionView(4, "d"),
    ];
    const opened = play(listed({ type: "cluster", sessions, agents: [agentView(1)] }), ...keys("P"));
    const next = play(opened.state, ...keys("j"));
    expect(next.effects).toEqual([{ type: "screen", id: sessionId(4) }]);
    expect(selectedName(next.state)).toBe("d");
    // The answer for the one before comes too late.
    const late = play(next.state, { type: "screen", id: sessionId(1), lines: ["of a"] }).state;
    expect(drawState(late, false)).toContain("Asking for its screen");
    expect(play(next.state, ...keys("j")).state).toBe(next.state);
    expect(selectedName(play(next.state, ...keys("k")).state)).toBe("a");
    const entered = play(next.state, ...keys({ name: "enter" }));
    expect(entered.effects).toEqual([{ type: "attach", id: sessionId(4), name: "d" }]);
    expect(entered.state.dialog).toBeNull();
  });

  test("P shows the screen, and an error whole", () => {
    const opened = play(listed(), ...keys("P"));
    expect(opened.effects).toEqual([{ type: "screen", id: sessionId(1) }]);
    expect(drawState(opened.state, false)).toContain("Asking for its screen");
    expect(
      drawState(play(opened.state, { type: "screen", id: sessionId(1), lines: ["> hi", ""] }).state, false),
    ).toContain("> hi");
    expect(drawState(play(opened.state, { type: "screen", id: sessionId(1), lines: ["", ""] }).state, false)).toContain(
      "Nothing is on its screen yet.",
    );
    const coloured = play(opened.state, {
      type: "screen",
      id: sessionId(1),
      lines: ["\u001b[1;31mred", "too\u001b[2J"],
    });
    expect(drawState(coloured.state, true)).toMatch(/\u001b\[1;31mred\u001b\[0m[^]*\u001b\[1;31mtoo\u001b\[0m/);
    expect(drawState(coloured.state, true)).not.toContain("\u001b[2J");
    const error = new ConvocateError("UNKNOWN_OP", "update the agent");
    expect(
      drawState(play(opened.state, { type: "view-failed", view: "preview", id: sessionId(1), error }).state, false),
    ).toContain("update the agent (UNKNOWN_OP)");
  });
});

describe("settings", () => {
  const loaded: Action = {
    type: "settings",
    agent: agentId(1),
    loaded: { effective: STACK_SETTINGS, changes: { cpus: 0.5 } },
  };

  test("S asks the selected session's agent, shows what holds, and sends only what was changed", () => {
    const opened = play(listed(), ...keys("S"));
    expect(opened.effects).toEqual([{ type: "settings", agent: agentId(1) }]);
    const shown = play(opened.state, loaded).state;
    expect(drawState(shown, false)).toMatch(/Release +3\.0\.0, image convocate:3\.0\.0/);
    const { effects } = play(shown, ...keys(TAB, { name: "ctrl-u" }, "80", TAB, TAB, TAB, { name: "ctrl-u" }, ENTER));
    expect(effects).toMatchObject([
      { request: { form: "settings", agent: agentId(1), change: { cpu_percent: 80, cpus: null } } },
    ]);
    expect(play(shown, ...keys(TAB, "0", ENTER)).effects).toEqual([]);
  });

  test("an agent is cordoned by its last field, and that is seen in the strip and in New", () => {
    const { state } = play(listed(), ...keys("S"), loaded);
    const cordon = keys({ name: "backtab" }, " ", ENTER);
    expect(play(state, ...cordon).effects).toMatchObject([
      { request: { form: "settings", change: { cordoned: true } } },
    ]);
    const told: Action = { type: "capacity", agent: agentId(1), capacity: { ...capacity(), cordoned: true } };
    const seen = play(listed(), told).state;
    expect(drawState(seen, false)).toMatch(/● agent-1 +cordoned/);
    const { dialog } = play(seen, ...keys("N")).state;
    expect(dialog).toMatchObject({ kind: "form", form: { values: { agent: agentId(2) } } });
  });

  test("another agent is asked when it is chosen", () => {
    const { effects, state } = play(listed(), ...keys("S"), loaded, ...keys({ name: "right" }), loaded);
    expect(effects.at(-1)).toEqual({ type: "settings", agent: agentId(2) });
    expect(state.dialog).toMatchObject({ kind: "settings", agent: agentId(2), loaded: null });
  });
});
