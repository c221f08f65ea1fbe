import { connect, createServer, type Socket } from "node:net";

/** A TCP proxy on loopback that a test can cut, stall or slow: the network between two programs. */
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
}

export async function startProxy(targetPort: () => number, targetHost = "127.0.0.1"): Promise<Proxy> {
  const pairs = new Set<[Socket, Socket]>();
  let mode: "open" | "cut" | "stalled" = "open";
  let accepted = 0;
  let clientBytes = 0;
  let budget = Infinity;

  const breakAll = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
  };
  const server = createServer((client) => {
    accepted += 1;
    if (mode === "cut") return void client.resetAndDestroy();
    const upstream = connect(targetPort(), targetHost);
    const pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    const end = (): void => {
      client.destroy();
      upstream.destroy();
      pairs.delete(pair);
    };
    client.on("data", (chunk) => {
      clientBytes += chunk.length;
      if (mode === "stalled") return;
      if (chunk.length <= budget) {
        budget -= chunk.length;
        return void upstream.write(chunk);
      }
      // Part of it gets through: that is the case in which both ends disagree about what was taken.
      upstream.write(chunk.subarray(0, budget));
      budget = Infinity;
      setTimeout(breakAll, 5);
    });
    upstream.on("data", (chunk) => {
      if (mode !== "stalled") client.write(chunk);
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
    async [Symbol.asyncDispose]() {
      breakAll();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
