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
  headSort: ["bold", "underline"],
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
const SGR: Record<Format, number> = {
  bold: 1,
  dim: 2,
  underline: 4,
  inverse: 7,
  red: 31,
  green: 32,
  yellow: 33,
  magenta: 35,
};

function formatsOf(style: Style, mode: ColorMode): Format[] {
  if (mode === "plain") return [];
  return STYLES[style].filter((format) => mode === "color" || !COLOURS.includes(format));
}

export function painter(mode: ColorMode): Paint {
  return (style, text) => {
    const formats = formatsOf(style, mode);
    return text === "" || formats.length === 0 ? text : styleText(formats, text, { validateStream: false });
  };
}

/** The sequence that goes from one style to another; plain text has the style undefined. */
export function sgr(mode: ColorMode): (from: Style | undefined, to: Style | undefined) => string {
  const codes = new Map<Style | undefined, string>([[undefined, ""]]);
  for (const style of Object.keys(STYLES) as Style[])
    codes.set(
      style,
      formatsOf(style, mode)
        .map((format) => SGR[format])
        .join(";"),
    );
  return (from, to) => {
    const [before, after] = [codes.get(from) ?? "", codes.get(to) ?? ""];
    if (before === after) return "";
    // An empty parameter is 0, which turns off all that was on.
    return before === "" ? `\u001b[${after}m` : `\u001b[${after === "" ? "" : `;${after}`}m`;
  };
}

/** NO_COLOR (any value but empty) and `TERM=dumb` turn colours off, whatever the terminal can do. */
export function colorMode(env: NodeJS.ProcessEnv): ColorMode {
  return (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb" ? "mono" : "color";
}
