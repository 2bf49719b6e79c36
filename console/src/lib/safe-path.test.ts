import { expect, test } from "vitest";
import { safePath } from "./safe-path";

const ORIGIN = "https://hub.example";
const check = (wanted: string | null, expected: string) => expect(safePath(wanted, ORIGIN)).toBe(expected);

test("a path of our own is kept", () => {
  check("/clusters", "/clusters");
  check("/clusters/gz-1?sort=-nodes&q=a%20b#x", "/clusters/gz-1?sort=-nodes&q=a%20b#x");
});

// threats.md case 34
test.each([
  "//evil",
  "///evil",
  "https:evil",
  "https://evil.example/",
  "/\\evil",
  "\\\\evil",
  "javascript:alert(1)",
  "/\t/evil",
  "/\n/evil",
  " //evil",
  "/a/..//evil",
  "/.//evil",
  "data:text/html,x",
  "clusters",
  "",
  null,
])("a redirect to %j is ignored after sign-in", (wanted) => check(wanted, "/"));

test("sign-in never leads back to itself", () => check("/sign-in?next=/x", "/"));
