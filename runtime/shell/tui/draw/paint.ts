import type { Sgr } from "../ansi.js";

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
/** One of ours, or how a session's own screen looks. */
export type Style = keyof typeof STYLES | Sgr;

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

/** Parameters of the SGR sequence of a style; none for plain text. */
function codesOf(style: Style | undefined, mode: ColorMode): string {
  if (style === undefined || mode === "plain") return "";
  if (isSgr(style)) {
    const [attributes = "", colours = ""] = style.slice("sgr:".length).split("|");
    return [attributes, mode === "color" ? colours : ""].filter((part) => part !== "").join(";");
  }
  const formats: readonly Format[] = STYLES[style];
  return formats
    .filter((format) => mode === "color" || !COLOURS.includes(format))
    .map((format) => SGR[format])
    .join(";");
}

function isSgr(style: Style): style is Sgr {
  return style.startsWith("sgr:");
}

/** Whether a style shows on a space: it paints what is behind or below the text. */
export function showsOnSpace(style: Style | undefined): boolean {
  return style !== undefined && (isSgr(style) || style === "selected" || style === "head" || style === "headSort");
}

export function painter(mode: ColorMode): Paint {
  return (style, text) => {
    const codes = codesOf(style, mode);
    return text === "" || codes === "" ? text : `\u001b[${codes}m${text}\u001b[0m`;
  };
}

/** The sequence that goes from one style to another; plain text has the style undefined. */
export function sgr(mode: ColorMode): (from: Style | undefined, to: Style | undefined) => string {
  const known = new Map<Style | undefined, string>();
  for (const style of [undefined, ...(Object.keys(STYLES) as Style[])]) known.set(style, codesOf(style, mode));
  const codes = (style: Style | undefined): string => known.get(style) ?? codesOf(style, mode);
  return (from, to) => {
    const [before, after] = [codes(from), codes(to)];
    if (before === after) return "";
    // An empty parameter is 0, which turns off all that was on.
    return before === "" ? `\u001b[${after}m` : `\u001b[${after === "" ? "" : `;${after}`}m`;
  };
}

/** NO_COLOR (any value but empty) and `TERM=dumb` turn colours off, whatever the terminal can do. */
export function colorMode(env: NodeJS.ProcessEnv): ColorMode {
  return (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb" ? "mono" : "color";
}
