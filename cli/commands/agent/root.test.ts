import { describe, expect, test } from "@jest/globals";
import { requireRoot } from "./root.js";

describe("convocate-agent", () => {
  test("lets root in", () => expect(() => requireRoot("serve", 0)).not.toThrow());
  test("refuses anybody else, with the sudo command that is right", () =>
    expect(() => requireRoot("serve", 1337)).toThrow(
      expect.objectContaining({
        code: "WRONG_UID",
        exitCode: 4,
        message: expect.stringContaining("`sudo convocate-agent serve`"),
      }),
    ));
});
