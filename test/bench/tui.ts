import type { TestCluster } from "../support/cluster.js";
import { percentile, type Figure } from "./figures.js";
import { onShell } from "./on-shell.js";
import type { TuiTimes } from "./tui-main.js";

const AGENTS = 10;
const FEW = 100;
const MANY = 1000;

/** The TUI of the service user on the shell host, in a terminal of 200x60: its start, its frames, its memory. */
export async function measureTui(cluster: TestCluster, runs: number): Promise<Figure[]> {
  // The first start compiles what the others read from the cache, once a release.
  const few = (await onShell(cluster, "tui-main.mjs", { agents: AGENTS, sessions: FEW, runs: runs + 1 })) as TuiTimes;
  const many = (await onShell(cluster, "tui-main.mjs", { agents: AGENTS, sessions: MANY, runs: 2 })) as TuiTimes;
  const list = `${AGENTS * FEW} sessions on ${AGENTS} agents`;
  const starts = few.firstList.slice(1);
  const row = (figure: Omit<Figure, "beside">): Figure => ({ ...figure, beside: null });
  const megabytes = (times: TuiTimes, sessions: number): Figure =>
    row({
      what: `TUI memory (RSS), ${AGENTS * sessions} sessions`,
      unit: "MB",
      ours: times.rssBytes / 1e6,
      target: null,
      samples: 1,
    });
  return [
    ...[50, 95].map((p) =>
      row({
        what: `TUI start to first list of ${list}, p${p}`,
        ours: percentile(starts, p),
        target: p === 50 ? { kind: "value", atMost: 500 } : null,
        samples: starts.length,
      }),
    ),
    row({
      what: `TUI key to frame, ${list}, p95`,
      ours: percentile(few.key, 95),
      target: { kind: "value", atMost: 50 },
      samples: few.key.length,
    }),
    ...[50, 95].map((p) =>
      row({
        what: `TUI key to frame, ${AGENTS * MANY} sessions, p${p}`,
        ours: percentile(many.key, p),
        target: { kind: "value", atMost: 16 },
        samples: many.key.length,
      }),
    ),
    row({
      what: `TUI frame of ${AGENTS * MANY} sessions, most written`,
      unit: "KB",
      ours: Math.max(...many.bytes) / 1000,
      target: { kind: "value", atMost: 8 },
      samples: many.bytes.length,
    }),
    megabytes(few, FEW),
    megabytes(many, MANY),
  ];
}
