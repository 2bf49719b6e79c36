import { expect, test } from "vitest";
import { createTokenCommand, quoted, userCommand } from "./commands";

test("what goes into a command is one word of a shell, whatever is in it", () => {
  expect(quoted("ada@example.com")).toBe("ada@example.com");
  expect(quoted("a; rm -rf ~")).toBe("'a; rm -rf ~'");
  expect(quoted("it's $HOME")).toBe(`'it'\\''s $HOME'`);
  expect(quoted("")).toBe("''");
  expect(createTokenCommand("CI pipeline", "30d")).toBe("ac tokens create 'CI pipeline' --expires 30d");
  expect(userCommand("disable", "ada")).toBe("ac adm users disable ada");
});
