import { expect, test } from "vitest";
import { unmetRules } from "./password";

test("each rule is told by itself", () => {
  expect(unmetRules("")).toEqual(["length", "letter", "digit", "special"]);
  expect(unmetRules("abcdefgh")).toEqual(["digit", "special"]);
  expect(unmetRules("1234567!")).toEqual(["letter"]);
  expect(unmetRules("abc 123")).toEqual(["length"]);
  expect(unmetRules(`abc1!${"x".repeat(28)}`)).toEqual(["length"]);
  expect(unmetRules("abc123.;")).toEqual(["special"]);
  for (const special of "~!@#$%^&*() -_=+?") expect(unmetRules(`abcd123${special}`)).toEqual([]);
});
