import { describe, expect, test } from "@jest/globals";
import { ManualClock } from "../../../test/agent/manual-clock.js";
import { newSessionId } from "../../domain/index.js";
import { LOCK_WAIT_MS, Locks } from "./locks.js";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("Locks", () => {
  test("run one operation on a session after the other, and different sessions side by side", async () => {
    const locks = new Locks(new ManualClock());
    const [a, b] = [newSessionId(), newSessionId()];
    const gate = Promise.withResolvers<void>();
    const order: string[] = [];
    const first = locks.run(a, "restart", async () => {
      await gate.promise;
      order.push("a1");
    });
    const second = locks.run(a, "kill", async () => void order.push("a2"));
    const third = locks.run(a, "kill", async () => void order.push("a3"));
    await locks.run(b, "kill", async () => void order.push("b"));
    expect(order).toEqual(["b"]);
    gate.resolve();
    await Promise.all([first, second, third]);
    expect(order.slice(0, 2)).toEqual(["b", "a1"]);
    expect(order).toHaveLength(4);
  });

  test("say which operation is in flight, and since when", async () => {
    const locks = new Locks(new ManualClock());
    const id = newSessionId();
    await locks.run(id, "delete", async () => {
      expect(locks.holder(id)).toMatchObject({ operation: "delete", since: "2026-11-21T12:00:00.000Z" });
    });
    expect(locks.holder(id)).toBeUndefined();
  });

  test("refuse with SESSION_LOCKED when the first takes longer than the wait", async () => {
    const clock = new ManualClock();
    const locks = new Locks(clock);
    const id = newSessionId();
    const gate = Promise.withResolvers<void>();
    const first = locks.run(id, "kill", () => gate.promise);
    const second = locks.run(id, "restart", async () => undefined);
    const refused = expect(second).rejects.toMatchObject({
      code: "SESSION_LOCKED",
      message: expect.stringMatching(/busy with kill, so restart was not begun/),
    });
    await clock.advance(LOCK_WAIT_MS - 1);
    await clock.advance(1);
    await refused;
    gate.resolve();
    await first;
    await locks.run(id, "restart", async () => undefined);
  });

  test("are free again after an operation that failed", async () => {
    const locks = new Locks(new ManualClock());
    const id = newSessionId();
    await expect(locks.run(id, "kill", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(locks.holder(id)).toBeUndefined();
    await expect(locks.run(id, "kill", async () => 1)).resolves.toBe(1);
  });

  test("turn away the sixty-fifth waiter of one session at once", async () => {
    const locks = new Locks(new ManualClock());
    const id = newSessionId();
    const gate = Promise.withResolvers<void>();
    const all = [locks.run(id, "kill", () => gate.promise)];
    for (let i = 0; i < 64; i++) all.push(locks.run(id, "kill", async () => undefined));
    await turn();
    await expect(locks.run(id, "kill", async () => undefined)).rejects.toMatchObject({ code: "SESSION_LOCKED" });
    gate.resolve();
    await Promise.all(all);
  });
});
