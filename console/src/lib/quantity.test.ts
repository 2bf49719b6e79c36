import { expect, test } from "vitest";
import { left, quantity, share } from "./quantity";

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

test("what is left is told in the unit of the bound, and never as more than there is", () => {
  expect([left("48Gi", "256Gi"), left("500m", "16"), left("70", "64"), left("0.7", "0.8"), left("1Gi", "1Ti"), left("1", "2e3")]).toEqual(["208Gi", "15.5", "0", "0.1", "0.999Ti", "1999"]);
  expect([left("x", "1"), left("1", undefined)]).toEqual([undefined, undefined]);
});
