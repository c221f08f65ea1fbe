import { expect, test } from "@jest/globals";
import { sessionView, waiting } from "../../../test/tui/fixtures.js";
import { row } from "./ls.js";

test("a session whose agent does not answer says so, not what it did when it was last heard of", () => {
  const status = waiting(60);
  expect(row(sessionView(1, "api", { status }))).toContainEqual(expect.stringMatching(/^waiting/));
  const away = row(sessionView(1, "api", { status }, { reachable: false }));
  expect(away.slice(0, 2)).toEqual(["?", "api"]);
  expect(away).toContain("no answer");
  expect(away).not.toContainEqual(expect.stringMatching(/waiting/));
});
