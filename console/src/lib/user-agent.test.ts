import { expect, test } from "vitest";
import { agentName } from "./user-agent";

test.each([
  ["Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36", "Chrome 131 · Linux"],
  ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0", "Edge 131 · Windows"],
  ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1", "Safari 18 · iOS"],
  ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:133.0) Gecko/20100101 Firefox/133.0", "Firefox 133 · macOS"],
  ["ac/0.1.0 (linux; amd64)", "ac/0.1.0 (linux; amd64)"],
  ["x".repeat(500), `${"x".repeat(60)}…`],
  ["", undefined],
])("%s", (agent, name) => expect(agentName(agent)).toBe(name));
