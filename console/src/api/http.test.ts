import { beforeEach, expect, test, vi } from "vitest";
import { onUnauthenticated, request } from "./http";
import { signIn } from "./identity";

const fetched = vi.fn<typeof fetch>();
const answer = (status: number, body: unknown = { kind: "Status", message: "no" }) =>
  fetched.mockResolvedValueOnce(new Response(status === 204 ? null : JSON.stringify(body), { status }));

beforeEach(() => {
  fetched.mockReset();
  vi.stubGlobal("fetch", fetched);
});

const sent = () => fetched.mock.lastCall?.[1];
const header = (name: string) => new Headers(sent()?.headers).get(name);

// threats.md case 57
test.each(["POST", "PUT", "PATCH", "DELETE"])("%s carries the proof that our own script sent it", async (method) => {
  answer(200, {});
  await request(method, "/x", { body: {} });
  expect(header("X-ACP-Request")).toBe("console");
  expect(header("Content-Type")).toBe("application/json");
  expect(sent()?.credentials).toBe("same-origin");
  expect(sent()?.redirect).toBe("error");
});

test("no credential is ever put into a request by script", async () => {
  answer(200, {});
  await request("GET", "/x");
  expect(header("Authorization")).toBeNull();
  expect(header("X-ACP-Request")).toBeNull();
});

test("the token in the sign-in answer goes no further", async () => {
  answer(200, { token: "secret-token", username: "a", groups: [], expirationTimestamp: "2026-01-01T00:00:00Z" });
  expect(JSON.stringify(await signIn({ username: "a", password: "p" }))).not.toContain("secret-token");
  expect(fetched.mock.lastCall?.[0]).toBe("/auth/v1/sessions");
});

test("401 is announced, except for a wrong password", async () => {
  const heard = vi.fn();
  const off = onUnauthenticated(heard);
  answer(401);
  await expect(signIn({ username: "a", password: "wrong" })).rejects.toMatchObject({ code: 401 });
  expect(heard).not.toHaveBeenCalled();
  answer(401);
  await expect(request("GET", "/x")).rejects.toMatchObject({ code: 401 });
  expect(heard).toHaveBeenCalledOnce();
  off();
});

test("no answer is an error of code 0", async () => {
  fetched.mockRejectedValueOnce(new TypeError("failed"));
  await expect(request("GET", "/x")).rejects.toMatchObject({ code: 0, reason: "Unreachable" });
});

test("an answer without a body is one; half a body is none", async () => {
  answer(204);
  expect(await request("DELETE", "/x")).toBeUndefined();
  fetched.mockResolvedValueOnce(new Response("", { status: 202 }));
  expect(await request("POST", "/x")).toBeUndefined();
  fetched.mockResolvedValueOnce(new Response('{"a":', { status: 200 }));
  await expect(request("GET", "/x")).rejects.toMatchObject({ code: 0 });
});

test("patches say what kind they are", async () => {
  answer(200, {});
  await request("PATCH", "/x", { body: {}, contentType: "application/merge-patch+json" });
  expect(header("Content-Type")).toBe("application/merge-patch+json");
  expect(header("X-ACP-Request")).toBe("console");
});
