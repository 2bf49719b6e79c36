// One's own account, against a fetch that answers by path.
import { act, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import { POLICY_PATH } from "../api/directory";
import type { Session } from "../api/identity";
import { switchLanguage } from "../i18n/i18n";
import Shell from "../shell/shell";
import { endOfDay } from "./token-dialog";

const mine: Session = {
  id: "s1",
  username: "ada",
  displayName: "Ada Lovelace",
  groups: ["dev", "ops"],
  provider: { id: "local", name: "Local", type: "local" },
  expirationTimestamp: "2030-01-01T00:00:00Z",
  current: true,
  client: "console",
  clientAddress: "10.0.0.1",
  userAgent: "Mozilla/5.0 (X11; Linux x86_64) Chrome/131.0.0.0 Safari/537.36",
};
const other: Session = { ...mine, id: "s2", current: false, client: "ac", clientAddress: "10.0.0.2", userAgent: "ac/0.1.0" };

type Answer = (body: Record<string, unknown>) => Response;
let answers: Record<string, Answer>;
let sent: { call: string; body: Record<string, unknown> }[];

const json =
  (body: unknown, status = 200): Answer =>
  () =>
    Response.json(body, { status });
const empty: Answer = () => new Response(null, { status: 204 });
const refuse = (code: number, reason: string, more = {}): Answer => json({ kind: "Status", code, reason, message: `because of ${reason}`, ...more }, code);

beforeEach(() => {
  localStorage.clear();
  sent = [];
  answers = {
    "GET /auth/v1/sessions": json({ items: [other, mine] }),
    "GET /auth/v1/accesstoken": json({ items: [] }),
    "GET /auth/v1/totp": json({ enabled: false }),
    "GET /kubernetes/global/apis/cluster.x-k8s.io/v1beta1/namespaces/cpaas-system/clusters": json({ metadata: { resourceVersion: "1" }, items: [{ metadata: { name: "gz-1" } }, { metadata: { name: "gz-2" } }] }),
  };
  vi.stubGlobal("fetch", (input: RequestInfo | URL, init?: RequestInit) => {
    const url = new URL(String(input), "http://x");
    const call = `${init?.method ?? "GET"} ${url.pathname}`;
    const body = JSON.parse(String(init?.body ?? "{}")) as Record<string, unknown>;
    if (!call.startsWith("GET")) sent.push({ call, body });
    if (url.searchParams.has("watch")) return new Promise(() => undefined);
    return Promise.resolve((answers[call] ?? refuse(404, "NotFound"))(body));
  });
});

async function open(session: Session = mine): Promise<void> {
  history.replaceState(null, "", "/account");
  render(<Shell session={session} onSignOut={vi.fn()} />);
  await screen.findByRole("heading", { name: "My account" });
}

const type = async (label: string, text: string) => userEvent.type(await screen.findByLabelText(label), text);

test("who I am: provider and groups", async () => {
  await open();
  const me = screen.getByRole("region", { name: "Who I am" });
  for (const words of ["Ada Lovelace", "ada", "Local", "dev", "ops"]) expect(within(me).getByText(words)).toBeTruthy();
});

test("the platform's own accounts are called so in the reader's language", async () => {
  await open();
  await act(() => switchLanguage("zh"));
  const me = screen.getByRole("region", { name: "我的身份" });
  expect(within(me).getByText("本地")).toBeTruthy();
  expect(within(me).queryByText("Local")).toBeNull();
  await act(() => switchLanguage("en"));
});

test("sessions: this one is marked and first, another can be ended", async () => {
  answers["DELETE /auth/v1/sessions/s2"] = () => {
    answers["GET /auth/v1/sessions"] = json({ items: [mine] });
    return new Response(null, { status: 204 });
  };
  await open();
  const list = await screen.findByRole("list", { name: "Sessions" });
  const [first, second] = within(list).getAllByRole("listitem");
  expect(first?.textContent).toContain("this one");
  expect(first?.textContent).toContain("Chrome 131 · Linux");
  expect(within(first as HTMLElement).queryByRole("button")).toBeNull();
  expect(screen.getByText(/ac sessions end s2/)).toBeTruthy();
  await userEvent.click(within(second as HTMLElement).getByRole("button"));
  await waitFor(() => expect(within(list).getAllByRole("listitem").length).toBe(1));
  expect(sent).toEqual([{ call: "DELETE /auth/v1/sessions/s2", body: {} }]);
});

test("all others are ended after a question", async () => {
  answers["DELETE /auth/v1/sessions"] = empty;
  await open();
  await userEvent.click(await screen.findByRole("button", { name: "End all others" }));
  const dialog = await screen.findByRole("dialog");
  expect(within(dialog).getByText("1 other session ends at once.")).toBeTruthy();
  expect(sent).toEqual([]);
  await userEvent.click(within(dialog).getByRole("button", { name: "End all others" }));
  await waitFor(() => expect(sent.map(({ call }) => call)).toEqual(["DELETE /auth/v1/sessions"]));
});

test("a list that fails says why, and can be asked again", async () => {
  answers["GET /auth/v1/accesstoken"] = refuse(500, "InternalError");
  await open();
  await screen.findByText("because of InternalError", undefined, { timeout: 5_000 });
  answers["GET /auth/v1/accesstoken"] = json({ items: [] });
  await userEvent.click(screen.getByRole("button", { name: "Retry" }));
  await screen.findByText("No tokens yet.");
});

test("a token: ends on a day that was chosen, does what was chosen, and is shown once", async () => {
  answers["POST /auth/v1/accesstoken"] = (body) => json({ id: "t1", token: "acp_once-only", description: body.description, expiration: body.expiration })(body);
  await open();
  await userEvent.click(await screen.findByRole("button", { name: "Create token" }));
  await userEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Create token" }));
  expect(screen.getByText("This is needed.")).toBeTruthy();
  expect(sent).toEqual([]);
  await type("Description", "CI pipeline");
  expect(screen.getByText("ac tokens create 'CI pipeline' --expires 30d")).toBeTruthy();
  await userEvent.click(screen.getByRole("radio", { name: "7 days" }));
  await userEvent.click(screen.getByLabelText("Read only"));
  await userEvent.click(screen.getByLabelText("Only in some clusters"));
  await userEvent.click(await screen.findByLabelText("gz-2"));
  await userEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Create token" }));
  await screen.findByText("acp_once-only");
  const body = sent[0]?.body as { expiration: string; scope: string[]; description: string };
  expect(body.description).toBe("CI pipeline");
  expect(body.scope).toEqual(["clusters:gz-2", "verbs:read"]);
  expect(Math.round((Date.parse(body.expiration) - Date.now()) / 86_400_000)).toBe(7);
  await userEvent.click(screen.getByRole("button", { name: "Done" }));
  expect(document.documentElement.outerHTML).not.toContain("once-only");
  expect(JSON.stringify({ ...localStorage, ...sessionStorage })).not.toContain("once-only");
  await userEvent.click(screen.getByRole("button", { name: "Create token" }));
  expect(document.documentElement.outerHTML).not.toContain("once-only");
});

test("a date that is over, or none, is refused before the server is asked; its own limit is shown", async () => {
  answers["POST /auth/v1/accesstoken"] = refuse(422, "Invalid", { details: { causes: [{ field: "expiration", message: "is beyond the policy's maximum of 90 days" }] } });
  await open();
  await userEvent.click(await screen.findByRole("button", { name: "Create token" }));
  await type("Description", "x");
  await userEvent.click(screen.getByRole("radio", { name: "On a date" }));
  const submit = within(screen.getByRole("dialog")).getByRole("button", { name: "Create token" });
  await userEvent.click(submit);
  expect(screen.getByText("Choose the last day.")).toBeTruthy();
  await type("Last day", "2020-01-01");
  expect(screen.getByText("That day is over already.")).toBeTruthy();
  await userEvent.clear(screen.getByLabelText("Last day"));
  await type("Last day", "2099-01-01");
  await userEvent.click(submit);
  await screen.findByText("is beyond the policy's maximum of 90 days");
  expect(new Date(endOfDay("2099-01-01")).toString()).toContain("Jan 01 2099 23:59:59");
});

test("revoking a token asks first", async () => {
  answers["GET /auth/v1/accesstoken"] = json({ items: [{ id: "t1", description: "CI", expiration: "2020-01-01T00:00:00Z", scope: { readOnly: true, clusters: ["gz-1"] } }] });
  answers["DELETE /auth/v1/accesstoken/t1"] = empty;
  await open();
  await userEvent.click(await screen.findByRole("button", { name: "Revoke: CI" }));
  expect(screen.getByText(/^Ended .*2020/)).toBeTruthy();
  const dialog = await screen.findByRole("dialog");
  expect(within(dialog).getByText("ac tokens revoke t1")).toBeTruthy();
  await userEvent.click(within(dialog).getByRole("button", { name: "Revoke" }));
  await waitFor(() => expect(sent.map(({ call }) => call)).toEqual(["DELETE /auth/v1/accesstoken/t1"]));
});

test("a second factor is set up with a code, and its secret forgotten", async () => {
  answers["POST /auth/v1/totp"] = json({ secret: "JBSWY3DP", uri: "otpauth://totp/x?secret=JBSWY3DP" });
  answers["PUT /auth/v1/totp"] = (body) => {
    if (body.code !== "123456") return refuse(401, "WrongCode")(body);
    answers["GET /auth/v1/totp"] = json({ enabled: true });
    return empty(body);
  };
  await open();
  await userEvent.click(await screen.findByRole("button", { name: "Set up" }));
  await screen.findByText("JBSW Y3DP");
  await type("Code the app shows", "000000{Enter}");
  await screen.findByText(/The code is not right/);
  await type("Code the app shows", "123456{Enter}");
  await screen.findByRole("button", { name: "Turn off" });
  expect(document.documentElement.outerHTML).not.toContain("JBSW");
});

test("turning it off takes the password", async () => {
  answers["GET /auth/v1/totp"] = json({ enabled: true });
  answers["DELETE /auth/v1/totp"] = (body) => (body.password === "right" ? empty : refuse(401, "Unauthorized"))(body);
  await open();
  await userEvent.click(await screen.findByRole("button", { name: "Turn off" }));
  const submit = () => userEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Turn off" }));
  await type("Current password", "wrong");
  await submit();
  await screen.findByText("That is not your current password.");
  await userEvent.clear(screen.getByLabelText("Current password"));
  await type("Current password", "right");
  await submit();
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
});

test("the password: the old one is checked, a code asked for when there is a second factor", async () => {
  let calls = 0;
  answers["POST /auth/v1/password"] = (body) => {
    calls++;
    if (body.password !== "right") return refuse(401, "Unauthorized")(body);
    return (body.code ? empty : refuse(401, "SecondFactorRequired"))(body);
  };
  await open();
  await userEvent.click(await screen.findByRole("button", { name: "Change password" }));
  const submit = () => userEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Change password" }));
  await type("Current password", "wrong");
  await type("New password", "abc1-xyz");
  await type("New password, again", "abc1-xyz");
  await submit();
  await screen.findByText("That is not your current password.");
  await userEvent.clear(screen.getByLabelText("Current password"));
  await type("Current password", "right");
  await submit();
  await userEvent.type(await screen.findByLabelText("Code"), "123456");
  await submit();
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(calls).toBe(3);
  expect(sent.at(-1)?.body).toEqual({ username: "ada", password: "right", newPassword: "abc1-xyz", code: "123456" });
});

test("the password: who may not read the policy is told what always holds, and the rest when it is refused", async () => {
  answers[`GET ${POLICY_PATH}`] = refuse(403, "Forbidden");
  answers["POST /auth/v1/password"] = refuse(422, "Invalid", { details: { causes: [{ field: "newPassword", message: "must be of 12 to 64 characters" }] } });
  await open();
  await userEvent.click(await screen.findByRole("button", { name: "Change password" }));
  await screen.findByText("At least 8 characters; the platform may ask for more");
  await type("Current password", "right");
  await type("New password", "abc1-xyz");
  await type("New password, again", "abc1-xyz");
  await userEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Change password" }));
  await screen.findByText("must be of 12 to 64 characters");
});

test("the password: who may read the policy is told its lengths", async () => {
  answers[`GET ${POLICY_PATH}`] = json({ metadata: { name: "platform" }, spec: { password: { minLength: 12 } } });
  await open();
  await userEvent.click(await screen.findByRole("button", { name: "Change password" }));
  await screen.findByText("12 to 32 characters");
});

test("a second factor whose secret did not come can be asked for again", async () => {
  answers["POST /auth/v1/totp"] = refuse(503, "ServiceUnavailable");
  await open();
  await userEvent.click(await screen.findByRole("button", { name: "Set up" }));
  await screen.findByText("because of ServiceUnavailable");
  answers["POST /auth/v1/totp"] = json({ secret: "JBSWY3DP", uri: "otpauth://totp/x?secret=JBSWY3DP" });
  await userEvent.click(screen.getByRole("button", { name: "Retry" }));
  await screen.findByText("JBSW Y3DP");
  expect(screen.queryByText("because of ServiceUnavailable")).toBeNull();
});

test("who comes from a provider with its own page changes neither password nor second factor here", async () => {
  await open({ ...mine, provider: { id: "okta", name: "Okta", type: "oidc" } });
  await screen.findByText(/Your identity provider decides/);
  expect(screen.queryByRole("button", { name: "Change password" })).toBeNull();
  expect(screen.queryByRole("button", { name: "Set up" })).toBeNull();
});
