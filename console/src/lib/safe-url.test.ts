import { expect, test } from "vitest";
import { safeUrl } from "./safe-url";

test.each(["https://grafana.example/callback?code=x&state=y", "http://127.0.0.1:53214/callback?code=x", "http://[::1]:53214/callback?code=x"])(
  "%s may be gone to",
  (url) => expect(safeUrl(url)).toBe(url),
);

// threats.md case 34
test.each([
  "javascript:alert(1)",
  " javascript:alert(1)",
  "java\nscript:alert(1)",
  "data:text/html,x",
  "vbscript:x",
  "file:///etc/passwd",
  "blob:https://x/1",
  "//evil",
  "/clusters",
  "https://hub.example@evil.example/",
  "",
  undefined,
])("%j is not gone to", (url) => expect(safeUrl(url)).toBeUndefined());
