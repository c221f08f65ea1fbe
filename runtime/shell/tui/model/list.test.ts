import { describe, expect, test } from "@jest/globals";
import { cluster, ENTER, ESC, keys, listed, play, selectedName, SESSIONS } from "../../../../test/support/tui-model.js";
import { manySessions, sessionView, stopped } from "../../../../test/tui/fixtures.js";
import { drawState } from "../draw/frame.js";
import type { Action, State } from "./state.js";

const names = (state: State): string[] => state.table.rows.map(({ session }) => session.name);

describe("filter", () => {
  test("/ filters while it is typed, Enter keeps it, Esc in the list takes it away", () => {
    const typing = play(listed(), ...keys("/", "ET")).state;
    expect(names(typing)).toEqual(["beta", "zeta"]);
    const kept = play(typing, ...keys(ENTER, "j")).state;
    expect(selectedName(kept)).toBe("zeta");
    expect(names(play(kept, ...keys(ESC)).state)).toHaveLength(SESSIONS.length);
    expect(selectedName(play(kept, ...keys(ESC)).state)).toBe("zeta");
  });

  test.each([
    ["agent-2", ["gamma"]],
    ["8080", ["alpha"]],
    ["alpha.lab", ["alpha"]],
    ["waiting", ["beta", "gamma"]],
    ["waiting agent-1", ["beta"]],
    ["000000000006", ["zeta"]],
    ["nothing-like-it", []],
  ])("%s finds %j", (text, found) => {
    expect(names(play(listed(), ...keys("/", text)).state)).toEqual(found);
  });

  test("its letters are no commands, its paste is text, and nothing found says how to get out", () => {
    const { state, effects } = play(listed(), ...keys("/", "qDK"), { type: "paste", text: "\u001b[2Jx" });
    expect(effects).toEqual([]);
    expect(state.filter).toBe("qDK[2Jx");
    expect(drawState(state, false)).toContain("Nothing found for");
  });
});

describe("sort", () => {
  test("s goes through the orders; the longest wait comes first", () => {
    const sorted = play(listed(), ...keys("s")).state;
    expect(sorted.sort).toBe("waiting");
    expect(names(sorted).slice(0, 3)).toEqual(["gamma", "beta", "alpha"]);
    expect(names(play(sorted, ...keys("s")).state)[0]).toBe("beta");
    expect(play(sorted, ...keys("ssss")).state.sort).toBe("name");
  });

  test("the selection stays on its session, wherever it goes", () => {
    const state = play(listed(), ...keys("jj")).state;
    expect(selectedName(state)).toBe("gamma");
    const sorted = play(state, ...keys("s")).state;
    expect(selectedName(sorted)).toBe("gamma");
    expect(sorted.position).toBe(0);
  });
});

describe("while a dialog is open", () => {
  const others = [sessionView(20, "aaa"), ...SESSIONS.filter(({ session }) => session.name !== "beta")];

  test("no row moves: what comes and what goes is listed when it closes", () => {
    const asked = play(listed(), ...keys("jjK"), cluster(others)).state;
    expect(names(asked)).toEqual(names(listed()));
    expect(drawState(asked, false)).toMatch(/^ {2}R {2}beta +agent-1 .*gone/m);
    const closed = play(asked, ...keys(ESC)).state;
    expect(names(closed)).toEqual(["aaa", "alpha", "gamma", "locked", "stale", "zeta"]);
    expect(selectedName(closed)).toBe("gamma");
  });

  test("rows show what is known of them now, in their places", () => {
    const changed = SESSIONS.map((view) => ({ ...view, session: { ...view.session, status: stopped(7) } }));
    const asked = play(listed(), ...keys("?"), cluster(changed)).state;
    expect(asked.table.rows[0]?.session.status).toEqual(stopped(7));
  });
});

describe("mouse", () => {
  const click = (y: number): Action => ({ type: "mouse", mouse: { kind: "click", x: 10, y } });
  const scroll = (by: 1 | -1): Action => ({ type: "mouse", mouse: { kind: "scroll", by, x: 10, y: 10 } });

  test("a click selects a row, another one opens it, the wheel goes three rows", () => {
    const selected = play(listed(), click(3));
    expect(selectedName(selected.state)).toBe("beta");
    expect(play(selected.state, click(3)).effects).toMatchObject([{ type: "attach", name: "beta" }]);
    const many = play(listed(), cluster(manySessions(100)), scroll(1), scroll(1), scroll(-1)).state;
    expect(many.position).toBe(3);
  });

  test("a click behind an open dialog, or where nothing is, does nothing", () => {
    const asked = play(listed(), ...keys("K")).state;
    expect(play(asked, click(3)).state).toBe(asked);
    const state = listed();
    expect(play(state, click(15)).state).toBe(state);
    expect(play(state, click(0)).state).toBe(state);
  });
});
