import { expect, test } from "vitest";
import { LENGTH_BOUNDS, unmetRules } from "./password";

const lengths = { least: 8, most: 32 };

test("each rule is told by itself", () => {
  const unmet = (password: string) => unmetRules(password, lengths);
  expect(unmet("")).toEqual(["length", "letter", "digit", "special"]);
  expect(unmet("abcdefgh")).toEqual(["digit", "special"]);
  expect(unmet("1234567!")).toEqual(["letter"]);
  expect(unmet("abc 123")).toEqual(["length"]);
  expect(unmet(`abc1!${"x".repeat(28)}`)).toEqual(["length"]);
  expect(unmet("abc123.;")).toEqual(["special"]);
  for (const special of "~!@#$%^&*() -_=+?") expect(unmet(`abcd123${special}`)).toEqual([]);
});

test("lengths are the policy's, and never beyond what any policy allows", () => {
  expect(unmetRules("abcdefgh1 ", { least: 12, most: 64 })).toEqual(["length"]);
  expect(unmetRules("abcdefghij1 ", { least: 12, most: 64 })).toEqual([]);
  expect(unmetRules("abc 123", LENGTH_BOUNDS)).toEqual(["length"]);
  expect(unmetRules(`abc 1${"x".repeat(60)}`, LENGTH_BOUNDS)).toEqual([]);
});

test("letters of any script count, and a character is one whatever it takes", () => {
  expect(unmetRules("密码密码 123", lengths)).toEqual([]);
  expect(unmetRules("𠮷𠮷𠮷 123", lengths)).toEqual(["length"]);
});
