import { expect, test } from "@jest/globals";
import { takeMouse } from "./mouse.js";

test("presses of the left button and the wheel are events; releases and other buttons are nothing, and nothing typed", () => {
  const typed = "a\u001b[<0;12;5Mb\u001b[<0;12;5m\u001b[<64;1;1M\u001b[<65;300;200M\u001b[<2;3;4Mc\u001b[A";
  expect(takeMouse(typed)).toEqual({
    events: [
      { kind: "click", x: 11, y: 4 },
      { kind: "scroll", by: -1, x: 0, y: 0 },
      { kind: "scroll", by: 1, x: 299, y: 199 },
    ],
    text: "abc\u001b[A",
    rest: "",
  });
});

test("a report cut in two anywhere is one event, once it may be nothing else", () => {
  const report = "\u001b[<0;12;5M";
  for (let cut = 3; cut < report.length; cut += 1) {
    const first = takeMouse(`x${report.slice(0, cut)}`);
    expect(first).toMatchObject({ events: [], text: "x" });
    expect(takeMouse(first.rest + report.slice(cut))).toMatchObject({
      events: [{ kind: "click" }],
      text: "",
      rest: "",
    });
  }
});

test("an Escape alone is a key and is not held back", () => {
  expect(takeMouse("\u001b")).toEqual({ events: [], text: "\u001b", rest: "" });
  expect(takeMouse("\u001b[")).toEqual({ events: [], text: "\u001b[", rest: "" });
});
