import { expect, test } from "vitest";
import { inUnitOf, left, quantity, share } from "./quantity";

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

test("an amount is told in the unit of its bound, unless nothing would be left of it", () => {
  expect([inUnitOf("16", "15500m"), inUnitOf("64Gi", "12884901888"), inUnitOf("64Gi", "1Ki"), inUnitOf("8Gi", "0"), inUnitOf("1000m", "2"), inUnitOf(undefined, "5"), inUnitOf("8", "x")]).toEqual(["15.5", "12Gi", "1Ki", "0", "2000m", "5", "x"]);
});
