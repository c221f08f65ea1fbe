import { expect, test } from "@jest/globals";
import { ansiToSvg } from "./ansi-to-svg.js";

const size = { cols: 20, rows: 2 };

test("text keeps its column, its colour and its weight", async () => {
  const svg = await ansiToSvg("ab \u001b[1;35mred & <bold>\u001b[0m\n", size);
  expect(svg).toMatch(/<text x="37\.3"[^>]*fill="#cf86e0" font-weight="bold">red &amp; &lt;bold&gt;</);
  expect(svg).toMatch(/<text x="12\.0"[^>]*fill="#d4d7dd">ab/);
});

test("inverse swaps the colours, and the picture is as large as the screen", async () => {
  const svg = await ansiToSvg("\n\u001b[7mrow\u001b[0m", { ...size, theme: "light" });
  expect(svg).toMatch(/<rect x="12\.0" y="29" width="25\.3" height="17" fill="#2b2f36"\/>/);
  expect(svg).toMatch(/fill="#fdfdfb">row</);
  expect(svg).toContain('viewBox="0 0 193 58"');
});

test("wide characters and emoji take two columns each, and what joins none", async () => {
  const svg = await ansiToSvg("目🚀e\u0301x", size);
  expect([...svg.matchAll(/<text x="([\d.]+)"[^>]*>([^<]+)</g)].map(([, x, text]) => [x, text?.trimEnd()])).toEqual([
    ["12.0", "目"],
    ["28.9", "🚀"],
    ["45.7", "e\u0301x"],
  ]);
});
