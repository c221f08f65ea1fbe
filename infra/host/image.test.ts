import { expect, test } from "@jest/globals";
import { commonLayers } from "./image.js";

test("layers count as there only from the bottom up and in their order, in the image that has most of them", () => {
  expect(commonLayers(["a", "b", "c"], [])).toBe(0);
  expect(commonLayers(["a", "b", "c"], [["a"], ["a", "b", "x"], ["b", "c"]])).toBe(2);
  expect(commonLayers(["a", "b"], [["a", "b", "c"]])).toBe(2);
  expect(commonLayers(["a", "b"], [["x", "a", "b"]])).toBe(0);
});
