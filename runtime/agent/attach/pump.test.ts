import { PassThrough } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { ManualClock } from "../../../test/agent/manual-clock.js";
import { Pump } from "./pump.js";

test("what a terminal shows goes to the client at once, and what comes right after it together", async () => {
  const clock = new ManualClock();
  const [channel, tty] = [new PassThrough(), new PassThrough()];
  const pump = new Pump({ channel, tty, readOnly: false, claim: null, clock });
  const written: string[] = [];
  channel.on("data", (chunk: Buffer) => written.push(chunk.toString()));
  const shown = pump.output();
  const show = async (text: string): Promise<void> => {
    tty.write(text);
    for (let turns = 0; turns < 5; turns++) await turn();
  };
  await show("a");
  expect(written).toEqual(["a"]);
  await show("b");
  await show("c");
  expect(written).toEqual(["a"]);
  await clock.advance(1);
  await turn();
  expect(written).toEqual(["a", "bc"]);
  await clock.advance(1);
  await show("d");
  expect(written).toEqual(["a", "bc", "d"]);
  tty.end();
  await clock.advance(1);
  await shown;
});
