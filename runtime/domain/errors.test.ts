import { expect, test } from "@jest/globals";
import { ConvocateError, toConvocateError } from "./errors.js";

const thrown = (code: string, message: string): Error => Object.assign(new Error(message), { code });

test("what a disk refuses is no fault of the program: IO_ERROR with what was done, where, and what to do next", () => {
  const full = toConvocateError(thrown("ENOSPC", "ENOSPC: no space left on device, mkdir '/home/claude/x'"));
  expect(full).toMatchObject({
    code: "IO_ERROR",
    message: "ENOSPC: no space left on device, mkdir '/home/claude/x': free some space there, then try again",
  });
  const readOnly = toConvocateError(thrown("EROFS", "EROFS: read-only file system, open '/x'"), "CONNECTION_LOST");
  expect(readOnly.code).toBe("IO_ERROR");
  expect(readOnly.message).toContain("see to that file system");
});

test("anything else is what the caller says, with its message and its cause; an error of ours stays itself", () => {
  const cause = thrown("ECONNRESET", "read ECONNRESET");
  expect(toConvocateError(cause, "CONNECTION_LOST")).toMatchObject({ code: "CONNECTION_LOST", message: cause.message });
  expect(toConvocateError(cause)).toMatchObject({ code: "INTERNAL", cause });
  expect(toConvocateError("text")).toMatchObject({ code: "INTERNAL", message: "text" });
  const ours = new ConvocateError("REFUSED", "no");
  expect(toConvocateError(ours)).toBe(ours);
});
