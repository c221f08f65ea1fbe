import { setTimeout as sleep } from "node:timers/promises";
import { startProxy } from "../support/proxy.js";
import { attachOurs, attachPeer, settle, type Target } from "./attaches.js";
import { percentile, type Figure } from "./figures.js";

const PEER = "ssh -tt, docker exec -it, tmux";
/** Typed before anything is measured: who types has typed before, and both sides' code and caches are warm. */
const WARM_UP_KEYS = 100;
/** Between an echo and the next key: no key ever waits for the one before. */
const PAUSE_MS = 15;
const FAR_MS = 200;
const FAR_KEYS = 50;
const LETTERS = "XQZJVKWY";

const WAYS = { ours: attachOurs, peer: attachPeer } as const;
type Way = keyof typeof WAYS;

/**
 * From a key to its echo, through attaches that stand, key by key in turn. Each has a session of its own: two attaches of
 * one session would draw each other's keys.
 */
export async function measureEcho(sessions: Record<Way, Target>, keys: number): Promise<Figure[]> {
  const attaches = await bothAttached(sessions);
  const times = await echoTimes(attaches, (way, letter) => attaches[way].echo(letter), keys, WARM_UP_KEYS);
  return [50, 95].map((p) => ({
    what: `keystroke echo through attach, p${p}`,
    ours: percentile(times.ours, p),
    beside: { name: PEER, value: percentile(times.peer, p) },
    target: { kind: "ratio", atMost: 0.75 },
    samples: keys,
  }));
}

/**
 * The same on a bad line: 200 ms each way, byte by byte, until the letter is on the screen. Ours is there before its echo, so
 * afterwards both screens must show what was typed and nothing else.
 */
export async function measureFarEcho({ ours, peer }: Record<Way, Target>): Promise<Figure[]> {
  const { host, port } = ours.door;
  const at = peer.ssh.indexOf("-p") + 1;
  await using toAgent = await startProxy(() => ({ host, port }));
  await using toSshd = await startProxy(() => ({ host, port: Number(peer.ssh[at]) }));
  for (const proxy of [toAgent, toSshd]) {
    proxy.delay(FAR_MS);
    proxy.slice(true);
  }
  const through = ["-o", "HostName=127.0.0.1", "-o", `HostKeyAlias=${host}`, ...peer.ssh.with(at, String(toSshd.port))];
  const sessions = {
    ours: { ...ours, door: { ...ours.door, host: "127.0.0.1", port: toAgent.port } },
    peer: { ...peer, ssh: through },
  };
  const attaches = await bothAttached(sessions);
  for (const attach of Object.values(attaches)) attach.watch();
  let typed = "";
  /** What the screens showed at first: another row may have typed there before. */
  const begun: Partial<Record<Way, string>> = {};
  const times = await echoTimes(
    attaches,
    (way, letter) => {
      begun[way] ??= attaches[way].letters();
      if (way === "ours") typed += letter;
      return attaches[way].echoOnScreen(letter);
    },
    FAR_KEYS,
    5,
    async () => {
      // The last echo has come by then, and what was never confirmed is taken away.
      await sleep(4 * FAR_MS + 2000);
      for (const way of ["ours", "peer"] as const) {
        const shown = attaches[way].letters();
        if (shown !== `${begun[way]}${typed}`)
          throw new Error(`${way}: '${typed}' was typed behind '${begun[way]}', it shows '${shown}'`);
      }
    },
  );
  return [50, 95].map((p) => ({
    what: `keystroke echo, ${FAR_MS} ms away each way, byte by byte, p${p}`,
    ours: percentile(times.ours, p),
    beside: { name: PEER, value: percentile(times.peer, p) },
    target: { kind: "ratio", atMost: 0.75 },
    samples: FAR_KEYS,
  }));
}

type Attaches = Record<Way, Awaited<ReturnType<typeof attachOurs>>>;

async function bothAttached(sessions: Record<Way, Target>): Promise<Attaches> {
  return { ours: await attachOurs(sessions.ours), peer: await attachPeer(sessions.peer) };
}

async function echoTimes(
  attaches: Attaches,
  echo: (way: Way, letter: string) => Promise<number>,
  keys: number,
  warmUp: number,
  afterwards: () => Promise<void> = () => Promise.resolve(),
): Promise<Record<Way, number[]>> {
  const times: Record<Way, number[]> = { ours: [], peer: [] };
  try {
    await Promise.all([attaches.ours.firstByteMs, attaches.peer.firstByteMs]);
    await settle();
    for (let key = -warmUp; key < keys; key++) {
      const letter = LETTERS[(key + warmUp) % LETTERS.length] ?? "X";
      const order: Way[] = key % 2 === 0 ? ["ours", "peer"] : ["peer", "ours"];
      for (const way of order) {
        const ms = await echo(way, letter);
        if (key >= 0) times[way].push(ms);
        await sleep(PAUSE_MS);
      }
    }
    await afterwards();
  } finally {
    await Promise.all([attaches.ours.detach(), attaches.peer.detach()]);
  }
  return times;
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
