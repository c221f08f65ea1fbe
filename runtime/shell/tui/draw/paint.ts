import { styleText } from "node:util";

/**
 * What a piece of text means; the colours are chosen here and nowhere else. Only the 16 ANSI colours, which a terminal's
 * theme keeps readable on its own background, and none of black, white and the bright ones, which light or dark themes hide.
 */
const STYLES = {
  accent: ["bold", "magenta"],
  border: ["magenta"],
  bold: ["bold"],
  dim: ["dim"],
  head: ["dim", "underline"],
  ok: ["green"],
  okBold: ["bold", "green"],
  warn: ["yellow"],
  warnBold: ["bold", "yellow"],
  bad: ["red"],
  badBold: ["bold", "red"],
  selected: ["inverse"],
} as const satisfies Record<string, readonly Format[]>;

type Format = "bold" | "dim" | "underline" | "inverse" | "magenta" | "green" | "yellow" | "red";
export type Style = keyof typeof STYLES;

/** `color`: everything. `mono`: bold, dim and inverse but no colour (NO_COLOR). `plain`: no escape sequence at all. */
export type ColorMode = "color" | "mono" | "plain";
export type Paint = (style: Style, text: string) => string;

const COLOURS: readonly Format[] = ["magenta", "green", "yellow", "red"];

export function painter(mode: ColorMode): Paint {
  if (mode === "plain") return (_style, text) => text;
  const formats = Object.fromEntries(
    Object.entries(STYLES).map(([style, list]) => [
      style,
      list.filter((format) => mode === "color" || !COLOURS.includes(format)),
    ]),
  ) as Record<Style, Format[]>;
  return (style, text) =>
    text === "" || formats[style].length === 0 ? text : styleText(formats[style], text, { validateStream: false });
}

/** NO_COLOR (any value but empty) and `TERM=dumb` turn colours off, whatever the terminal can do. */
export function colorMode(env: NodeJS.ProcessEnv): ColorMode {
  return (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb" ? "mono" : "color";
}
