import { expect, test } from "@jest/globals";
import { transferLine, transferProgress } from "./transfer.js";

const MIB = 1024 ** 2;

test("bytes are told while they are copied", () => {
  expect(transferLine({ step: "copying", bytes: 1.5 * MIB, total: 300 * MIB })).toBe("copying 1.5 of about 300 MiB");
  expect(transferLine({ step: "verifying", bytes: 0, total: 0 })).toBe("comparing both copies");
});

test("a terminal has one line that is replaced and taken away; a file has none", () => {
  for (const isTTY of [true, false]) {
    let written = "";
    const live = transferProgress({ isTTY, write: (text) => (written += text) });
    live.take({ step: "copying", bytes: 0, total: MIB });
    live.take({ step: "copying", bytes: MIB, total: MIB });
    live.take({ step: "switching", bytes: MIB, total: MIB });
    live.end();
    const lines = written.split("\r\u001b[K");
    expect(lines).toEqual(isTTY ? ["", "copying 0.0 of about 1.0 MiB", "switching over", ""] : [""]);
  }
});
