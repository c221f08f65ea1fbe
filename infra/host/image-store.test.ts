import { expect, test } from "@jest/globals";
import { gzipSync } from "node:zlib";
import { chainIds, parseSplit, within } from "./image-store.js";

const split = (...lines: object[]): Buffer => gzipSync(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));

test("a layer is what was between its files, and the files that have something in them, in their order", () => {
  const packed = split(
    { type: 2, payload: Buffer.from("head").toString("base64"), position: 0 },
    { type: 1, name: "./", payload: null, position: 1 },
    { type: 2, payload: Buffer.from("er").toString("base64"), position: 2 },
    { type: 1, name: "etc/a", size: 7, payload: "AAAAAAAAAAA=", position: 3 },
    { type: 1, name_raw: Buffer.from([0x61, 0xff]).toString("base64"), size: 1, payload: "AAAAAAAAAAA=", position: 4 },
    { type: 2, payload: null, position: 5 },
  );
  expect(parseSplit(packed)).toEqual({
    pieces: [
      Buffer.from("head"),
      Buffer.from("er"),
      { name: Buffer.from("etc/a"), bytes: 7 },
      { name: Buffer.from([0x61, 0xff]), bytes: 1 },
      Buffer.alloc(0),
    ],
    bytes: 14,
  });
  expect(() => parseSplit(split({ type: 3 }))).toThrow();
});

test("a file's name leads nowhere but into its layer, and is never an option", () => {
  const of = (name: string): string => within(Buffer.from(name)).toString();
  expect(of("./etc/a b")).toBe("./etc/a b");
  expect(of("/etc/passwd")).toBe("./etc/passwd");
  expect(of("../../etc/shadow")).toBe("./etc/shadow");
  expect(of("-")).toBe("./-");
  expect(within(Buffer.from([0x2f, 0xff]))).toEqual(Buffer.from([0x2e, 0x2f, 0xff]));
});

test("a layer together with those below it has the name that the OCI specification gives it", () => {
  expect(chainIds([])).toEqual([]);
  // sha256sum of "sha256:a sha256:b", and of that and " sha256:c".
  const [first, second, third] = chainIds(["sha256:a", "sha256:b", "sha256:c"]);
  expect(first).toBe("sha256:a");
  expect(second).toBe("sha256:970a948bffa8de94d6e22d747ba8c95030e6e546909f98f54e99a13005e173a8");
  expect(third).toBe("sha256:dee159b33409cefa3f6eda71539f006014283e9d9130c18a1dea7bd8a33c9b1b");
});
