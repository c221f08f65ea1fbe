import { setTimeout as sleep } from "node:timers/promises";
import { attachOurs, attachPeer, settle, type Target } from "./attaches.js";
import { percentile, type Figure } from "./figures.js";

const PEER = "ssh -tt, docker exec -it, tmux";
/** Typed before anything is measured: who types has typed before, and both sides' code and caches are warm. */
const WARM_UP_KEYS = 100;
/** Between an echo and the next key: no key ever waits for the one before. */
const PAUSE_MS = 15;
const LETTERS = "XQZJVKWY";

const WAYS = { ours: attachOurs, peer: attachPeer } as const;
type Way = keyof typeof WAYS;

/**
 * From a key to its echo, through attaches that stand, key by key in turn. Each has a session of its own: two attaches of
 * one session would draw each other's keys.
 */
export async function measureEcho(sessions: Record<Way, Target>, keys: number): Promise<Figure[]> {
  const times: Record<Way, number[]> = { ours: [], peer: [] };
  const attaches = { ours: await attachOurs(sessions.ours), peer: await attachPeer(sessions.peer) };
  try {
    await Promise.all([attaches.ours.firstByteMs, attaches.peer.firstByteMs]);
    await settle();
    for (let key = -WARM_UP_KEYS; key < keys; key++) {
      const letter = LETTERS[(key + WARM_UP_KEYS) % LETTERS.length] ?? "X";
      const order: Way[] = key % 2 === 0 ? ["ours", "peer"] : ["peer", "ours"];
      for (const way of order) {
        const ms = await attaches[way].echo(letter);
        if (key >= 0) times[way].push(ms);
        await sleep(PAUSE_MS);
      }
    }
  } finally {
    await Promise.all([attaches.ours.detach(), attaches.peer.detach()]);
  }
  return [50, 95].map((p) => ({
    what: `keystroke echo through attach, p${p}`,
    ours: percentile(times.ours, p),
    beside: { name: PEER, value: percentile(times.peer, p) },
    target: { kind: "ratio", atMost: 0.75 },
    samples: keys,
  }));
}

/** From nothing to the first byte of the session's screen: a new connection each time. */
export async function measureFirstByte(target: Target, runs: number): Promise<Figure[]> {
  const times: Record<Way, number[]> = { ours: [], peer: [] };
  // One of each is thrown away: caches are warm for both then.
  for (let run = -1; run < runs; run++) {
    const order: Way[] = run % 2 === 0 ? ["ours", "peer"] : ["peer", "ours"];
    for (const way of order) {
      const attach = await WAYS[way](target);
      const ms = await attach.firstByteMs;
      if (run >= 0) times[way].push(ms);
      await settle();
      await attach.detach();
    }
  }
  return [
    {
      what: "first byte of an attach, p50",
      ours: percentile(times.ours, 50),
      beside: { name: PEER, value: percentile(times.peer, 50) },
      target: { kind: "ratio", atMost: 0.8 },
      samples: runs,
    },
  ];
}
