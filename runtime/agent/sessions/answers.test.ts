import { expect, test } from "@jest/globals";
import { ManualClock } from "../../../test/agent/manual-clock.js";
import { Answers } from "./answers.js";

test("gives an answer again for ten minutes, and then does the work anew", async () => {
  const clock = new ManualClock();
  const answers = new Answers(clock);
  let done = 0;
  const work = async (): Promise<number> => (done += 1);
  expect(await answers.once("a", work)).toBe(1);
  await clock.advance(600_000);
  expect(await answers.once("a", work)).toBe(1);
  await clock.advance(1);
  expect(await answers.once("a", work)).toBe(2);
});

test("forgets nothing because somebody sets the host's clock on", async () => {
  const clock = new ManualClock();
  const answers = new Answers(clock);
  await answers.once("a", async () => 1);
  clock.set(3_600_000);
  expect(await answers.once("a", async () => 2)).toBe(1);
});

test("joins work that takes longer than answers are kept, and keeps its answer for ten minutes from its end", async () => {
  const clock = new ManualClock();
  const answers = new Answers(clock);
  const copied = Promise.withResolvers<number>();
  const first = answers.once("copy", () => copied.promise);
  await clock.advance(3_000_000);
  for (let i = 0; i < 2000; i++) await answers.once(`key-${i}`, async () => i);
  const second = answers.once("copy", async () => 2);
  copied.resolve(1);
  expect([await first, await second]).toEqual([1, 1]);
  await clock.advance(600_000);
  expect(await answers.once("copy", async () => 2)).toBe(1);
});

test("keeps 1024 answers at most, the newest ones", async () => {
  const answers = new Answers(new ManualClock());
  for (let i = 0; i < 3000; i++) await answers.once(`key-${i}`, async () => i);
  expect(answers.size).toBe(1024);
  expect(await answers.once("key-2999", async () => -1)).toBe(2999);
  expect(await answers.once("key-0", async () => -1)).toBe(-1);
});

test("forgets a failure, and tells it to everybody who joined", async () => {
  const answers = new Answers(new ManualClock());
  const fail = (): Promise<never> => Promise.reject(new Error("no"));
  const both = await Promise.allSettled([answers.once("a", fail), answers.once("a", fail)]);
  expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(answers.size).toBe(0);
  expect(await answers.once("a", async () => 1)).toBe(1);
});
