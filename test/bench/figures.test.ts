import { describe, expect, test } from "@jest/globals";
import { percentile, ratio, verdict, type Figure } from "./figures.js";

const figure = (over: Partial<Figure>): Figure => ({
  what: "echo, p50",
  ours: 3,
  beside: { name: "peer", value: 4 },
  target: { kind: "ratio", atMost: 0.75 },
  samples: 1,
  ...over,
});

describe("percentile", () => {
  test("is a value that was measured, by nearest rank, in whatever order they came", () => {
    expect(percentile([5, 1, 4, 2, 3], 50)).toBe(3);
    expect(percentile([1, 2, 3, 4], 50)).toBe(2);
    expect(percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 95)).toBe(10);
    expect(percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 90)).toBe(9);
    expect(percentile([7], 0)).toBe(7);
  });

  test("of nothing, or out of range, is an error and no number", () => {
    expect(() => percentile([], 50)).toThrow(RangeError);
    expect(() => percentile([1], 101)).toThrow(RangeError);
  });
});

describe("verdict", () => {
  test("binds the ratio where SPEC names a peer, to the last digit", () => {
    expect(verdict(figure({}))).toBe("met");
    expect(verdict(figure({ ours: 3.01 }))).toBe("MISSED");
  });

  test("binds the number where SPEC names no peer, whatever the ratio", () => {
    expect(verdict(figure({ ours: 0.2, target: { kind: "value", atMost: 0.2 } }))).toBe("met");
    expect(verdict(figure({ ours: 0.21, target: { kind: "value", atMost: 0.2 } }))).toBe("MISSED");
  });

  test("is silent without a target, and refuses a ratio without a peer", () => {
    expect(verdict(figure({ target: null }))).toBeNull();
    expect(ratio(figure({ beside: null }))).toBeNull();
    expect(() => verdict(figure({ beside: null }))).toThrow(/no peer/);
  });
});
