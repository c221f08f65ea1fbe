import { beforeEach, describe, expect, test } from "@jest/globals";
import { ManualClock } from "../../../test/agent/manual-clock.js";
import { PEER_LOST_MS, PeerWatch } from "./peers.js";

describe("PeerWatch", () => {
  let clock: ManualClock;
  let said: [string, unknown][];
  let peers: PeerWatch;
  beforeEach(() => {
    clock = new ManualClock();
    said = [];
    peers = new PeerWatch({ emit: (type, _id, data) => void said.push([type, data]) }, clock);
  });

  test("says once that the shell is lost, 90 s after its last connection, and once that it is back", async () => {
    peers.connected();
    await clock.advance(10 * PEER_LOST_MS);
    peers.closed(0);
    await clock.advance(PEER_LOST_MS - 1);
    expect(said).toEqual([]);
    await clock.advance(1);
    await clock.advance(10 * PEER_LOST_MS);
    expect(said.map(([type]) => type)).toEqual(["agent.peer-lost"]);
    await clock.advance(5_000);
    peers.connected();
    peers.connected();
    expect(said.slice(1)).toEqual([["agent.peer-back", { away_s: 995 }]]);
  });

  test("counts the seconds that pass, whatever somebody sets the host's clock to", async () => {
    clock.set(3_600_000);
    expect(said).toEqual([]);
    clock.set(-7_200_000);
    await clock.advance(PEER_LOST_MS);
    expect(said).toEqual([["agent.peer-lost", { since: "2026-11-21T11:00:00.000Z" }]]);
  });

  test("says nothing while one of several connections is left", async () => {
    peers.connected();
    peers.connected();
    peers.closed(0);
    await clock.advance(PEER_LOST_MS * 2);
    expect(said).toEqual([]);
  });

  test("counts from the last byte of a link that was lost without a word", async () => {
    peers.connected();
    await clock.advance(PEER_LOST_MS);
    peers.closed(PEER_LOST_MS - 10_000);
    await clock.advance(0);
    expect(said).toEqual([]);
    await clock.advance(10_000);
    expect(said).toEqual([["agent.peer-lost", { since: "2026-11-21T12:00:10.000Z" }]]);
  });

  test("counts from the start of the agent when nobody ever came", async () => {
    await clock.advance(PEER_LOST_MS);
    expect(said).toEqual([["agent.peer-lost", { since: "2026-11-21T12:00:00.000Z" }]]);
  });
});
