import { Command } from "commander";
import { expect, jest, test } from "@jest/globals";
import { ConvocateError } from "../../runtime/domain/index.js";
import { interruptSignal, outputFailed, run } from "./run.js";

test("a full disk behind the output is one line and a failure, a reader that has enough is neither", () => {
  const error = (code: string): NodeJS.ErrnoException => Object.assign(new Error(`${code}: write`), { code });
  expect(outputFailed("convocate", error("EPIPE"))).toEqual({ lines: [], exitCode: 0 });
  expect(outputFailed("convocate", error("ENOSPC"))).toEqual({
    lines: [
      "convocate: standard output cannot be written: the disk behind it is full: make room, then run the same again",
    ],
    exitCode: 1,
  });
  expect(outputFailed("convocate", error("EIO")).lines).toHaveLength(1);
});

test("Ctrl-C says how to go on where a command knows, and ends with 130", async () => {
  const said: string[] = [];
  const write = jest.spyOn(process.stderr, "write").mockImplementation((text) => said.push(String(text)) > 0);
  try {
    const verb = (name: string, thrown: () => unknown): Command =>
      new Command(name).action(() => {
        process.emit("SIGINT");
        throw thrown() as Error;
      });
    const program = (): Command =>
      new Command("prog")
        .addCommand(verb("update", () => new ConvocateError("INTERRUPTED", "interrupted: run the same again")))
        .addCommand(verb("wait", () => interruptSignal.reason));
    expect(await run(program(), ["wait"])).toBe(130);
    expect(said).toEqual([]);
    expect(await run(program(), ["update"])).toBe(130);
    expect(said).toEqual(["prog: interrupted: run the same again\n"]);
  } finally {
    write.mockRestore();
  }
});
