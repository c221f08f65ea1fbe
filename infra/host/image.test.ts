import { expect, test } from "@jest/globals";
import { Readable } from "node:stream";
import { ConvocateError } from "../../runtime/domain/index.js";
import { checkRoom } from "./image-load.js";
import { commonLayers, parseRoom } from "./image.js";

test("layers count as there only from the bottom up and in their order, in the image that has most of them", () => {
  expect(commonLayers(["a", "b", "c"], [])).toBe(0);
  expect(commonLayers(["a", "b", "c"], [["a"], ["a", "b", "x"], ["b", "c"]])).toBe(2);
  expect(commonLayers(["a", "b"], [["a", "b", "c"]])).toBe(2);
  expect(commonLayers(["a", "b"], [["x", "a", "b"]])).toBe(0);
});

test("what a host has for an image is read from df, Docker's processor and Docker's layers", () => {
  const said = ' 1000 /\n 2000 /var/lib/my docker\namd64\n["sha256:a","sha256:b"]\n["sha256:a"]\n';
  expect(parseRoom(said)).toEqual({
    arrival: { freeBytes: 1000, mount: "/" },
    docker: { freeBytes: 2000, mount: "/var/lib/my docker" },
    architecture: "amd64",
    layers: [["sha256:a", "sha256:b"], ["sha256:a"]],
  });
  expect(parseRoom(" 1000 /\n 2000 /\narm64\n").layers).toEqual([]);
});

test("an image needs room packed where it arrives and unpacked where Docker keeps it, on one disk both", () => {
  const packed = { read: () => Readable.from([]), sha256: "", bytes: 100e6, rawBytes: 300e6 };
  const refusal = (arrivalMb: number, dockerMb: number, dockerMount: string): string | null => {
    const arrival = { freeBytes: arrivalMb * 1e6, mount: "/" };
    const docker = { freeBytes: dockerMb * 1e6, mount: dockerMount };
    try {
      checkRoom("agent-1", "convocate:1", packed, { arrival, docker, architecture: "amd64", layers: [] });
      return null;
    } catch (thrown) {
      return thrown instanceof ConvocateError ? `${thrown.code} ${thrown.message}` : String(thrown);
    }
  };
  expect(refusal(101, 331, "/var")).toBe(null);
  expect(refusal(99, 331, "/var")).toBe(
    "DISK_FULL agent-1: convocate:1 needs 100 MB on the disk of /, 99 MB are free; make room there and run the same again",
  );
  expect(refusal(101, 329, "/var")).toMatch(/needs 330 MB on the disk of \/var, 329 MB are free/);
  expect(refusal(431, 431, "/")).toBe(null);
  expect(refusal(429, 429, "/")).toMatch(/needs 430 MB on the disk of \/, 429 MB are free/);
});
