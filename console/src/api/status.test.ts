import { expect, test } from "vitest";
import { ApiError, fieldErrors } from "./status";

const error = (causes?: { field?: string; message?: string }[]) =>
  new ApiError({ kind: "Status", code: 422, message: "Cluster is invalid", ...(causes ? { details: { causes } } : {}) });

test("causes go under the fields they name, whatever the path around them", () => {
  const sorted = fieldErrors(
    error([
      { field: "name", message: "exists already" },
      { field: "kubeconfig.users[0].user.exec", message: "is refused" },
      { field: "spec.server", message: "cannot be reached" },
      { field: "spec.other", message: "is odd" },
    ]),
    ["name", "kubeconfig", "server"],
  );
  expect(sorted.fields).toEqual({ name: "exists already", kubeconfig: "is refused", server: "cannot be reached" });
  expect(sorted.rest).toEqual(["is odd"]);
});

test("a field is told from one of the same name elsewhere", () => {
  const sorted = fieldErrors(error([{ field: "spec.config.groupSearch.baseDN", message: "a" }, { field: "spec.config.userSearch.filter", message: "b" }, { field: "id", message: "c" }]), ["userSearch.baseDN", "groupSearch.baseDN", "userSearch.filter", "filter", "id"]);
  expect(sorted.fields).toEqual({ "groupSearch.baseDN": "a", "userSearch.filter": "b", id: "c" });
});

test("two causes of one field are both shown", () => {
  const sorted = fieldErrors(error([{ field: "name", message: "a" }, { field: "name", message: "b" }]), ["name"]);
  expect(sorted.fields.name).toBe("a\nb");
});

test("without causes the message is shown", () => {
  expect(fieldErrors(error(), ["name"]).rest).toEqual(["Cluster is invalid"]);
});

test("a body that is no Status keeps its code, and its text is not repeated", async () => {
  const made = await ApiError.from(new Response("<script>alert(1)</script>", { status: 502, headers: { "X-Request-Id": "r-1" } }));
  expect([made.code, made.requestId]).toEqual([502, "r-1"]);
  expect(made.message).not.toContain("script");
});

test("Retry-After is read", async () => {
  const answer = new Response(JSON.stringify({ kind: "Status", message: "slow down" }), { status: 429, headers: { "Retry-After": "7" } });
  expect((await ApiError.from(answer)).retryAfterSeconds).toBe(7);
});
