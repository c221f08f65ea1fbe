/**
 * Pictures of the TUI, drawn as it draws itself, from fixtures: those of docs/, or with a folder as argument every scene at
 * every size, dark and light, to be looked at. `npm run pictures [-- FOLDER]`.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConvocateError } from "../../runtime/domain/index.js";
import { drawState } from "../../runtime/shell/tui/draw/frame.js";
import type { Key } from "../../runtime/shell/tui/model/keys.js";
import { reduce } from "../../runtime/shell/tui/model/reduce.js";
import { initialState, type Action, type State } from "../../runtime/shell/tui/model/state.js";
import { ansiToSvg } from "../support/ansi-to-svg.js";
import {
  ago,
  agentId,
  agentView,
  capacity,
  NOW_MS,
  sessionId,
  sessionView,
  variedAgents,
  variedSessions,
} from "./fixtures.js";
import { STACK_SETTINGS } from "../support/samples.js";

const GIB = 1024 ** 3;
const E = "\u001b";
/** What Claude shows while it asks, as tmux prints it. */
const CLAUDE = [
  `${E}[38;5;174m●${E}[39m I'll read the handler first, then add the retry.`,
  "",
  `${E}[32m●${E}[39m ${E}[1mRead${E}[0m(src/api/handler.ts)`,
  `  ${E}[2m⎿  Read 214 lines${E}[0m`,
  "",
  `${E}[32m●${E}[39m ${E}[1mUpdate${E}[0m(src/api/handler.ts)`,
  `  ${E}[2m⎿  Updated with 6 additions and 1 removal${E}[0m`,
  `     41   ${E}[48;5;52m- const answer = await ask(request);${E}[0m`,
  `     41   ${E}[48;5;22m+ const answer = await retry(3, () => ask(request));${E}[0m`,
  "",
  `${E}[38;5;111m╭──────────────────────────────────────────────────────────╮${E}[0m`,
  `${E}[38;5;111m│${E}[0m ${E}[1mBash command${E}[0m                                             ${E}[38;5;111m│${E}[0m`,
  `${E}[38;5;111m│${E}[0m   npm test -- handler                                    ${E}[38;5;111m│${E}[0m`,
  `${E}[38;5;111m│${E}[0m ${E}[38;5;111m❯ 1. Yes${E}[0m   2. Yes, and don't ask again   3. No           ${E}[38;5;111m│${E}[0m`,
  `${E}[38;5;111m╰──────────────────────────────────────────────────────────╯${E}[0m`,
];
const WIDE = [
  sessionView(20, "wide", { status: { state: "error", message: "目录 /home/プロジェクト 🚀 is gone" } }),
  sessionView(21, "orphaned", { status: { state: "orphan", path: "/home/claude/作業" } }, { agentName: "-" }),
];
/** A log of somebody who does not write English. */
const WIDE_LOG = [
  `{"event":"UserPromptSubmit","text":"请把 目录/プロジェクト 里的测试修好 🚀"}`,
  `{"event":"PreToolUse","tool":"Bash","text":"cd /home/claude/プロジェクト && npm test"}`,
  `{"event":"Stop","text":"完了しました ✅ 全部の 42 件のテストが通りました 🎉"}`,
];

const cluster: readonly Action[] = [
  { type: "cluster", sessions: [...variedSessions(), ...WIDE], agents: variedAgents() },
  { type: "capacity", agent: agentId(1), capacity: capacity({ cpus: 3.1, memory_bytes: 12 * GIB }) },
  {
    type: "capacity",
    agent: agentId(2),
    capacity: capacity({ cpus: 6.9, memory_bytes: 24 * GIB, disk_bytes: 300 * GIB }),
  },
  { type: "loaded" },
];
const press = (...names: string[]): Action[] =>
  names.map((name) => ({
    type: "key",
    key: name.length === 1 ? { name: "char", char: name } : ({ name } as Exclude<Key, { name: "char" }>),
  }));
const lost = new ConvocateError(
  "ADMISSION_DENIED",
  "admission denied: would push convocate-sessions.slice to 96% of host CPU (7.7 of 7.2 cores allowed); current usage 6.7 " +
    "cores across 6 sessions. Kill or delete a session on agent-1, or create it on another agent, then try again.",
);
const down = agentView(1, { connection: { state: "connecting", since: NOW_MS, error: "10.0.0.1:222 timed out" } });

/** What has happened until the picture. */
const SCENES: Readonly<Record<string, readonly Action[]>> = {
  list: [...cluster, ...press("down")],
  filter: [...cluster, ...press("/", "a", "g", "e", "n", "t", "-", "2")],
  new: [...cluster, ...press("n", "w", "e", "b", "tab")],
  preview: [...cluster, ...press("p"), { type: "screen", id: sessionId(1), lines: CLAUDE }],
  settings: [
    ...cluster,
    ...press("S"),
    {
      type: "settings",
      agent: agentId(1),
      loaded: { effective: { ...STACK_SETTINGS, cpu_percent: 80 }, changes: { cpu_percent: 80 } },
    },
    ...press("tab"),
  ],
  move: [...cluster, ...press("m")],
  help: [...cluster, ...press("?")],
  delete: [...cluster, ...press("d")],
  logs: [
    ...cluster,
    ...press("l"),
    {
      type: "logs",
      id: sessionId(1),
      lines: [9, 7, 4].map((seconds) => ({ timestamp: ago(seconds), text: `{"event":"waiting","why":"permission"}` })),
    },
  ],
  wide: [
    ...cluster,
    ...press("l"),
    {
      type: "logs",
      id: sessionId(1),
      lines: WIDE_LOG.map((text, index) => ({ timestamp: ago(30 - index * 9), text })),
    },
  ],
  error: [...cluster, { type: "failed", operation: "restart", id: sessionId(3), name: "crawler", error: lost }],
  empty: [{ type: "cluster", sessions: [], agents: [agentView(1)] }, { type: "loaded" }],
  "no-agents": [{ type: "loaded" }],
  start: [],
  unreachable: [{ type: "cluster", sessions: [], agents: [down] }, { type: "loaded" }],
};

interface Size {
  cols: number;
  rows: number;
}
const SMALL: Size = { cols: 80, rows: 24 };
const SIZES: readonly Size[] = [SMALL, { cols: 120, rows: 40 }, { cols: 200, rows: 60 }];

async function picture(scene: string, size: Size, theme: "dark" | "light", file: string): Promise<void> {
  let state: State = initialState({ clusterName: "lab", size, nowMs: NOW_MS, load: [0.42, 0.4, 0.31] });
  for (const action of SCENES[scene] ?? []) state = reduce(state, action).state;
  await writeFile(file, await ansiToSvg(drawState(state, true), { ...size, theme }));
}

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  await picture("list", { cols: 120, rows: 32 }, "dark", "docs/tui.svg");
  await picture("list", { cols: 120, rows: 32 }, "light", "docs/tui-light.svg");
  for (const scene of ["new", "settings", "preview", "wide"])
    await picture(scene, SMALL, "dark", `docs/tui-${scene}.svg`);
} else {
  await mkdir(folder, { recursive: true });
  for (const size of SIZES)
    for (const theme of ["dark", "light"] as const)
      for (const scene of Object.keys(SCENES))
        await picture(scene, size, theme, join(folder, `${scene}-${size.cols}x${size.rows}-${theme}.svg`));
}
