import { expect, test } from "vitest";
import { createNamespaceCommand, createTokenCommand, explainCommand, quoted, searchCommand, userCommand, whoCanCommand } from "./commands";

test("what goes into a command is one word of a shell, whatever is in it", () => {
  expect(quoted("ada@example.com")).toBe("ada@example.com");
  expect(quoted("a; rm -rf ~")).toBe("'a; rm -rf ~'");
  expect(quoted("it's $HOME")).toBe(`'it'\\''s $HOME'`);
  expect(quoted("")).toBe("''");
  expect(createTokenCommand("CI pipeline", "30d")).toBe("ac tokens create 'CI pipeline' --expires 30d");
  expect(userCommand("disable", "ada")).toBe("ac adm users disable ada");
  expect(explainCommand({ user: "ada@example.com", groups: "x, y z", verb: "get", resource: "pods/log", namespace: "a b", cluster: "east" })).toBe("ac auth explain --as ada@example.com --as-group x --as-group 'y z' get pods --subresource log -n 'a b' --cluster east");
  expect(whoCanCommand({ verb: "delete", resource: "pods" })).toBe("ac auth who-can delete pods -A");
  expect(searchCommand({ q: "two words", image: "r/web" })).toBe("ac search 'two words' --image r/web");
});

test("a new namespace is one command, unless it is to have what no flag says", () => {
  const draft = { project: "shop", cluster: "east", name: "shop-web", displayName: "", hard: { "limits.cpu": "2", pods: "10" } };
  expect(createNamespaceCommand({ ...draft, displayName: "The web" })).toBe("ac adm new-project-namespace shop-web --project shop --cluster east --quota limits.cpu=2,pods=10 --display-name 'The web'");
  expect(createNamespaceCommand({ ...draft, hard: {} })).toBe("ac adm new-project-namespace shop-web --project shop --cluster east");
  expect(createNamespaceCommand({ ...draft, object: { kind: "Namespace" }, limitRange: { kind: "LimitRange" } }).split("\n")).toEqual([
    "ac apply --cluster east -f - <<'EOF'", '{"kind":"Namespace"}', "EOF",
    "ac create quota default --hard=limits.cpu=2,pods=10 -n shop-web --cluster east",
    "ac apply -n shop-web --cluster east -f - <<'EOF'", '{"kind":"LimitRange"}', "EOF",
  ]);
});
