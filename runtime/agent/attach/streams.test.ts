import { describe, expect, test } from "@jest/globals";
import { ManualClock } from "../../../test/agent/manual-clock.js";
import { newSessionId } from "../../domain/index.js";
import { InputStreams, REMEMBER_MS } from "./streams.js";

const session = newSessionId();
const nothing = async (): Promise<void> => undefined;

describe("InputStreams", () => {
  test("remember how much of a stream was taken, for ten minutes after it was left", async () => {
    const clock = new ManualClock();
    const streams = new InputStreams(clock);
    const first = await streams.claim(session, "s", nothing);
    expect(first.taken).toBeNull();
    expect(first.add(5)).toBe(5);
    first.release();
    // Somebody sets the host's clock: what is sent again then must not be typed again.
    clock.set(2 * REMEMBER_MS);
    await clock.advance(REMEMBER_MS);
    const second = await streams.claim(session, "s", nothing);
    expect(second.taken).toBe(5);
    second.release();
    await clock.advance(REMEMBER_MS + 1);
    expect((await streams.claim(session, "s", nothing)).taken).toBeNull();
  });

  test("end the connection that has a stream before another gets it, with all that it took", async () => {
    const streams = new InputStreams(new ManualClock());
    const order: string[] = [];
    const first = await streams.claim(session, "s", async () => {
      first.add(3);
      order.push("ended");
      first.release();
    });
    const second = await streams.claim(session, "s", nothing);
    order.push("claimed");
    expect(order).toEqual(["ended", "claimed"]);
    expect(second.taken).toBe(3);
    first.release();
    expect(streams.size).toBe(1);
  });

  test("let one of two that come at the same time have it, and then the other", async () => {
    const streams = new InputStreams(new ManualClock());
    const ended: string[] = [];
    await streams.claim(session, "s", async () => void ended.push("first"));
    await Promise.all([
      streams.claim(session, "s", async () => void ended.push("second")),
      streams.claim(session, "s", async () => void ended.push("third")),
    ]);
    expect(ended).toContain("first");
    expect(ended.filter((one) => one !== "first")).toEqual(["second"]);
  });

  test("know a stream by its session too", async () => {
    const streams = new InputStreams(new ManualClock());
    (await streams.claim(session, "s", nothing)).add(7);
    expect((await streams.claim(newSessionId(), "s", nothing)).taken).toBeNull();
  });

  test("forget the one that was left first when there are too many, and refuse when all are in use", async () => {
    const clock = new ManualClock();
    const streams = new InputStreams(clock, 2);
    const a = await streams.claim(session, "a", nothing);
    const b = await streams.claim(session, "b", nothing);
    await expect(streams.claim(session, "c", nothing)).rejects.toMatchObject({ code: "REFUSED" });
    b.add(1);
    b.release();
    await clock.advance(10);
    a.add(1);
    a.release();
    await streams.claim(session, "c", nothing);
    expect(streams.size).toBe(2);
    expect((await streams.claim(session, "a", nothing)).taken).toBe(1);
  });
});
