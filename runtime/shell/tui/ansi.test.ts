import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { styledScreen } from "./ansi.js";

const E = "\u001b";

describe("a session's screen", () => {
  test("keeps its colours and attributes, from line to line as tmux prints them", () => {
    expect(styledScreen([`plain ${E}[1m${E}[38;5;174mclaude${E}[0m`, `${E}[7mtwo`, `lines${E}[27m.`])).toEqual([
      [["plain "], ["claude", "sgr:1|38;5;174"]],
      [["two", "sgr:7|"]],
      [["lines", "sgr:7|"], ["."]],
    ]);
  });

  test.each([
    ["31", "sgr:|31"],
    ["97;100", "sgr:|97;100"],
    ["38;2;1;2;3;4", "sgr:4|38;2;1;2;3"],
    ["48:5:7", "sgr:|48;5;7"],
    ["38:2::1:2:3", "sgr:|38;2;1;2;3"],
    ["4:3", "sgr:4|"],
    ["58;5;3;1", "sgr:1|"],
    ["5", undefined],
    ["", undefined],
    ["38;5;300", undefined],
    ["38;2;1", undefined],
    ["1;31;22;39", undefined],
    ["1;0;2", "sgr:2|"],
  ])("SGR %s looks like %s", (parameters, style) => {
    expect(styledScreen([`${E}[${parameters}mx`])).toEqual([[style === undefined ? ["x"] : ["x", style]]]);
  });

  test("has its lines drawn, which tmux writes as letters between SO and SI", () => {
    expect(styledScreen(["\u000elqk\u000f lqk"])).toEqual([[["┌─┐"], [" lqk"]]]);
  });

  test("has no other control sequence left, whatever it is made of", () => {
    const attack = `${E}]52;c;ZXZpbA==\u0007${E}]8;;http://x${E}\\link${E}]8;;${E}\\${E}[2J${E}[10;10H${E}[?1003hend`;
    expect(styledScreen([attack])).toEqual([[["linkend"]]]);
    const piece = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(E, "[", "]", "m", ";", ":", "0", "38", "5", "\u009b", "\u0007", "\u000e", "\u000f", "x"),
    );
    fc.assert(
      fc.property(fc.array(fc.array(piece).map((pieces) => pieces.join(""))), (lines) => {
        for (const [text, style] of styledScreen(lines).flat()) {
          expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/);
          expect(style ?? "sgr:|").toMatch(/^sgr:[\d;]*\|[\d;]*$/);
        }
      }),
    );
  });
});
