import { expect, test } from "vitest";
import { quantity, share } from "./quantity";

test.each([
  ["0", 0],
  ["1500m", 1.5],
  ["8Gi", 8 * 2 ** 30],
  ["+.5k", 500],
  ["2e3", 2000],
  ["1E", 1e18],
  [4, 4],
  ["-1", undefined],
  ["8 Gi", undefined],
  ["lots", undefined],
  [undefined, undefined],
])("%s is %s", (text, value) => expect(quantity(text)).toBe(value));

test("a share of nothing is nothing, or too much", () => {
  expect(share("512Mi", "1Gi")).toBe(0.5);
  expect([share("0", "0"), share("1", "0"), share("1", undefined)]).toEqual([0, Number.POSITIVE_INFINITY, undefined]);
});
