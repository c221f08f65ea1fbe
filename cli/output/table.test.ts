import { expect, test } from "@jest/globals";
import stringWidth from "string-width";
import { jsonText } from "./print.js";
import { tableLines } from "./table.js";
import { clean } from "./text.js";

test("columns line up by what a terminal shows", async () => {
  expect(
    await tableLines(
      [{ title: "NAME" }, { title: "X" }],
      [
        ["日本", "1"],
        ["a", "2"],
      ],
      null,
    ),
  ).toEqual(["NAME  X", "日本  1", "a     2"]);
});

test("a table that is too wide cuts the widest columns that may shrink, and no other", async () => {
  const columns = [{ title: "NAME", shrinkTo: 4 }, { title: "DETAIL", shrinkTo: 6 }, { title: "ID" }];
  const rows = [["a-rather-long-name", "日本語のとても長い説明です", "12345678"]];
  const lines = await tableLines(columns, rows, 40);
  for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(40);
  expect(lines[1]).toContain("12345678");
  expect(lines[1]).toContain("…");
});

test("nothing from the wire acts on the terminal, as text or as JSON", () => {
  expect(clean("a\x1b[31mred\x1b]0;title\x07\x9b2Jb\r\n\u202ec")).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  const text = jsonText({ name: "a\x1b[2J\x9b2J\x7f" });
  expect(text).not.toMatch(/[\u001b\u007f-\u009f]/);
  expect(JSON.parse(text)).toEqual({ name: "a\x1b[2J\x9b2J\x7f" });
});
