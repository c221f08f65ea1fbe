import { helpRows } from "../model/layout.js";
import type { State } from "../model/state.js";
import { fit } from "../text.js";
import { ESC, keys, type Content } from "./parts.js";
import type { Line, Span } from "./line.js";

export function helpContent(state: State, { scroll }: { scroll: number }): Content {
  const rows = helpRows(state.size);
  const from = Math.min(scroll, Math.max(0, HELP.length - rows));
  const more = HELP.length > rows ? ([["↑↓", "more", { name: "pagedown" }]] as const) : [];
  return { title: "Help", body: HELP.slice(from, from + rows), foot: keys(...more, ["Esc", "close", ESC]) };
}

function rows(pairs: readonly (readonly [string, string])[]): Line[] {
  return pairs.map(([key, text]): Span[] => [["  "], [fit(key, 10), "accent"], [text]]);
}

const HELP: readonly Line[] = [
  [["Sessions", "bold"]],
  ...rows([
    ["Enter", "attach; leave an attach with Ctrl-b d"],
    ["N", "new session"],
    ["B", "background: detach everybody, it runs on"],
    ["R", "restart; a running one only after you confirm"],
    ["K", "kill: stop it (k moves up)"],
    ["D", "delete it with its files"],
    ["C  E", "clone it; edit name, port, DNS name and limits"],
    ["M", "move it to another agent"],
    ["O", "override: clear the lock that an operation left"],
    ["P  L", "preview of its screen; its log, which follows"],
  ]),
  [["List", "bold"]],
  ...rows([
    ["↑ ↓  j k", "move; PgUp, PgDn, Home and End go further"],
    ["/  s", "filter; sort by name, waiting, last use, agent, status"],
    ["S", "settings of an agent: versions, limits"],
    ["mouse", "click selects, again opens; keys can be clicked"],
    ["?  Q", "this help; quit (Ctrl-C quits, Ctrl-Z stops)"],
  ]),
  [["Status", "bold"]],
  [
    ["  "],
    ["R", "okBold"],
    [" running   "],
    ["C", "accent"],
    [" connected   "],
    ["-", "dim"],
    [" stopped   "],
    ["L", "warnBold"],
    [" locked   "],
    ["O", "warn"],
    [" orphan"],
  ],
  [["  "], ["!", "badBold"], [" Docker error   "], ["?", "dim"], [" its agent does not answer now"]],
  [["  "], ["#", "badBold"], [" has the Docker socket, which is root on its agent's host"]],
  [["Bars", "bold"]],
  [["  "], ["█", "ok"], [" used   "], ["▒", "ok"], [" promised   "], ["·", "dim"], [" free for more sessions"]],
];
