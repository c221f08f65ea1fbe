import { expect, test } from "@jest/globals";
import { Semaphore } from "./semaphore.js";

test("never more holders than slots, and everybody comes in, in order", async () => {
  const semaphore = new Semaphore(3);
  const order: number[] = [];
  let holders = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const release = await semaphore.acquire();
      most = Math.max(most, ++holders);
      order.push(i);
      await new Promise((resolve) => setTimeout(resolve, 1));
      holders--;
      release();
      release();
    }),
  );
  expect(most).toBe(3);
  expect(order).toEqual([...order].sort((a, b) => a - b));
});

test("who gives up waiting takes no slot with it", async () => {
  const semaphore = new Semaphore(1);
  const release = await semaphore.acquire();
  const controller = new AbortController();
  const waiting = semaphore.acquire(controller.signal);
  controller.abort(new Error("enough"));
  await expect(waiting).rejects.toThrow("enough");
  release();
  (await semaphore.acquire())();
});
