import { expect, test } from "vitest";
import { createTokenCommand, explainCommand, quoted, userCommand, whoCanCommand } from "./commands";

test("what goes into a command is one word of a shell, whatever is in it", () => {
  expect(quoted("ada@example.com")).toBe("ada@example.com");
  expect(quoted("a; rm -rf ~")).toBe("'a; rm -rf ~'");
  expect(quoted("it's $HOME")).toBe(`'it'\\''s $HOME'`);
  expect(quoted("")).toBe("''");
  expect(createTokenCommand("CI pipeline", "30d")).toBe("ac tokens create 'CI pipeline' --expires 30d");
  expect(userCommand("disable", "ada")).toBe("ac adm users disable ada");
  expect(explainCommand({ user: "ada@example.com", verb: "get", resource: "pods/log", namespace: "a b", cluster: "east" })).toBe("ac auth explain --as ada@example.com get pods/log -n 'a b' --cluster east");
  expect(whoCanCommand({ verb: "delete", resource: "pods" })).toBe("ac auth who-can delete pods");
});
