import { connect, createServer, type Socket } from "node:net";
import { setImmediate, setTimeout as sleep } from "node:timers/promises";

/** A TCP proxy on loopback that a test can cut, stall, slow down or slice: the network between two programs. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** Connections that came in so far. */
  readonly accepted: number;
  /** Bytes that clients sent so far. */
  readonly clientBytes: number;
  /** Breaks every connection now, and refuses new ones until `mend`. */
  cut(): void;
  /** Bytes go nowhere, in both directions and for new connections too, until `mend`: as with a firewall that drops. */
  stall(): void;
  mend(): void;
  /** Breaks every connection after so many more bytes from the client; new ones are taken. */
  cutAfterClientBytes(bytes: number): void;
  /** What comes in from now on takes so many milliseconds longer, each way. */
  delay(ms: number): void;
  /** What comes in from now on is handed on byte by byte, each in a write of its own. */
  slice(on: boolean): void;
}

export interface Target {
  host: string;
  port: number;
}

/** Bytes on their way in one direction; beyond, the sender is held back, as on a real line. */
const ON_THE_WAY_BYTES = 1024 * 1024;

export async function startProxy(target: () => number | Target): Promise<Proxy> {
  const pairs = new Set<[Socket, Socket]>();
  let mode: "open" | "cut" | "stalled" = "open";
  let accepted = 0;
  let clientBytes = 0;
  let budget = Infinity;
  let delayMs = 0;
  let sliced = false;

  const breakAll = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
  };
  /** Hands bytes on in order, as late and in such pieces as is set when they come. */
  const line = (from: Socket, to: Socket): ((chunk: Buffer) => void) => {
    let last = Promise.resolve();
    let onTheWay = 0;
    const arrive = async (chunk: Buffer, dueMs: number, slice: boolean): Promise<void> => {
      const early = dueMs - performance.now();
      if (early > 0) await sleep(early);
      for (let at = 0; slice && at < chunk.length && to.writable; at += 1) {
        to.write(chunk.subarray(at, at + 1));
        await setImmediate();
      }
      if (!slice && to.writable) to.write(chunk);
      onTheWay -= chunk.length;
      if (onTheWay < ON_THE_WAY_BYTES && from.isPaused()) from.resume();
    };
    return (chunk) => {
      if (onTheWay === 0 && delayMs === 0 && !sliced) return void to.write(chunk);
      onTheWay += chunk.length;
      if (onTheWay >= ON_THE_WAY_BYTES) from.pause();
      const [dueMs, slice] = [performance.now() + delayMs, sliced];
      last = last.then(() => arrive(chunk, dueMs, slice));
    };
  };
  const server = createServer((client) => {
    accepted += 1;
    if (mode === "cut") return void client.resetAndDestroy();
    const to = target();
    const upstream = typeof to === "number" ? connect(to, "127.0.0.1") : connect(to.port, to.host);
    const pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    for (const socket of pair) socket.setNoDelay(true);
    const end = (): void => {
      client.destroy();
      upstream.destroy();
      pairs.delete(pair);
    };
    const [toUpstream, toClient] = [line(client, upstream), line(upstream, client)];
    client.on("data", (chunk) => {
      clientBytes += chunk.length;
      if (mode === "stalled") return;
      if (chunk.length <= budget) {
        budget -= chunk.length;
        return toUpstream(chunk);
      }
      // Part of it gets through: that is the case in which both ends disagree about what was taken.
      toUpstream(chunk.subarray(0, budget));
      budget = Infinity;
      setTimeout(breakAll, 2 * delayMs + 5);
    });
    upstream.on("data", (chunk) => {
      if (mode !== "stalled") toClient(chunk);
    });
    for (const socket of pair) socket.on("error", end).on("close", end);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: address && typeof address === "object" ? address.port : 0,
    get accepted() {
      return accepted;
    },
    get clientBytes() {
      return clientBytes;
    },
    cut() {
      mode = "cut";
      breakAll();
    },
    stall() {
      mode = "stalled";
    },
    mend() {
      // What was swallowed cannot be brought back into an encrypted stream, so those connections are gone for good.
      if (mode === "stalled") breakAll();
      mode = "open";
    },
    cutAfterClientBytes(bytes) {
      budget = bytes;
    },
    delay(ms) {
      delayMs = ms;
    },
    slice(on) {
      sliced = on;
    },
    async [Symbol.asyncDispose]() {
      breakAll();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
