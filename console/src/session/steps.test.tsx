// Everything between a name and a session: providers, second factor, forced changes, refusals, and who is asked for whom.
import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import type { Provider } from "../api/identity";
import { switchLanguage } from "../i18n/i18n";
import { App } from "./app";
import { readUserCode } from "./device-page";
import { SignIn } from "./sign-in";
import { readFragment } from "./validated";

const session = { username: "ada", groups: ["g"], expirationTimestamp: "2030-01-01T00:00:00Z", provider: { id: "local", name: "Local", type: "local" } };
type Body = Record<string, unknown>;
type Answer = (body: Body) => Response;

let providers: Provider[];
let answers: Record<string, Answer>;
let sent: { path: string; body: Body }[];
const assigned = vi.fn<(url: string | URL) => void>();

const refuse =
  (code: number, reason: string, more: Body = {}, headers = {}): Answer =>
  () =>
    Response.json({ kind: "Status", code, reason, message: `because of ${reason}`, ...more }, { status: code, headers });
const empty: Answer = () => new Response(null, { status: 204 });
const json =
  (body: unknown): Answer =>
  () =>
    Response.json(body);

beforeEach(() => {
  providers = [{ id: "local", name: "Local", type: "local" }];
  answers = {};
  sent = [];
  assigned.mockReset();
  localStorage.clear();
  history.replaceState(null, "", "/sign-in");
  vi.spyOn(location, "assign").mockImplementation(assigned);
  vi.stubGlobal("fetch", (input: RequestInfo | URL, init?: RequestInit) => {
    const path = String(input);
    const method = init?.method ?? "GET";
    const body = JSON.parse(String(init?.body ?? "{}")) as Body;
    if (method !== "GET") sent.push({ path: `${method} ${path}`, body });
    if (path === "/auth/v1/providers") return Promise.resolve(Response.json({ items: providers }));
    return Promise.resolve((answers[`${method} ${path}`] ?? refuse(404, "NotFound"))(body));
  });
});

async function typePassword(): Promise<void> {
  await userEvent.type(await screen.findByLabelText(/User name|E-mail/), "ada");
  await userEvent.type(screen.getByLabelText("Password"), "old-secret");
  await userEvent.click(screen.getByRole("button", { name: "Sign in" }));
}

function open(onSignedIn = vi.fn()) {
  render(<SignIn ended={false} onSignedIn={onSignedIn} />);
  return onSignedIn;
}

test("one local provider: nothing but the form, and no provider is sent", async () => {
  answers["POST /auth/v1/sessions"] = json(session);
  const signedIn = open();
  await typePassword();
  await waitFor(() => expect(signedIn).toHaveBeenCalledWith(session));
  expect(sent[0]?.body).toEqual({ username: "ada", password: "old-secret" });
  expect(screen.queryByRole("group")).toBeNull();
  expect(screen.queryByRole("link")).toBeNull();
});

test("several providers: names and passwords are chosen between, the others are links to their own page", async () => {
  providers.push({ id: "corp", name: "Corp LDAP", type: "ldap", usernamePrompt: "E-mail" }, { id: "okta", name: "Okta", type: "oidc" }, { id: "adfs", name: "ADFS", type: "saml" });
  history.replaceState(null, "", "/sign-in?next=%2Fclusters%3Fsort%3D-nodes");
  answers["POST /auth/v1/sessions"] = json(session);
  open();
  await userEvent.click(await screen.findByRole("radio", { name: "Corp LDAP" }));
  expect(screen.getByLabelText("E-mail")).toBeTruthy();
  expect(screen.getByRole("link", { name: "Continue with Okta" }).getAttribute("href")).toBe("/auth/v1/providers/okta/login?next=%2Fclusters%3Fsort%3D-nodes");
  expect(screen.getByRole("link", { name: "Continue with ADFS" })).toBeTruthy();
  await typePassword();
  expect(sent[0]?.body.idp).toBe("corp");
});

test("many providers are in a list", async () => {
  for (let at = 1; at <= 4; at++) providers.push({ id: `l${at}`, name: `Site ${at}`, type: "ldap" });
  open();
  await userEvent.selectOptions(await screen.findByLabelText("Account from"), "Site 3");
  await typePassword();
  expect(sent[0]?.body.idp).toBe("l3");
});

test("redirect providers alone: no form", async () => {
  providers = [{ id: "okta", name: "Okta", type: "oidc" }];
  open();
  await screen.findByRole("link", { name: "Continue with Okta" });
  expect(screen.queryByLabelText("Password")).toBeNull();
});

// threats.md case 34
test("a provider is never asked to lead to another origin", async () => {
  providers.push({ id: "okta", name: "Okta", type: "oidc" });
  history.replaceState(null, "", `/sign-in?next=${encodeURIComponent("//evil")}`);
  open();
  expect((await screen.findByRole("link", { name: "Continue with Okta" })).getAttribute("href")).toBe("/auth/v1/providers/okta/login?next=%2F");
});

test("a second factor is asked for; a wrong code is said, cleared and asked for again", async () => {
  answers["POST /auth/v1/sessions"] = (body) => {
    if (!body.code) return refuse(401, "SecondFactorRequired")(body);
    return body.code === "123456" ? json(session)(body) : refuse(401, "WrongCode")(body);
  };
  const signedIn = open();
  await typePassword();
  await screen.findByRole("heading", { name: "Second factor" });
  const code = screen.getByLabelText<HTMLInputElement>("Code");
  expect(document.activeElement).toBe(code);
  await userEvent.type(code, "000 000");
  await userEvent.click(screen.getByRole("button", { name: "Sign in" }));
  expect((await screen.findByRole("alert")).textContent).toContain("The code is not right");
  expect(code.value).toBe("");
  await userEvent.type(code, "123456{Enter}");
  await waitFor(() => expect(signedIn).toHaveBeenCalled());
  expect(sent.at(-1)?.body).toEqual({ username: "ada", password: "old-secret", code: "123456" });
});

test("an incomplete code is not sent", async () => {
  answers["POST /auth/v1/sessions"] = refuse(401, "SecondFactorRequired");
  open();
  await typePassword();
  await userEvent.type(await screen.findByLabelText("Code"), "12a34{Enter}");
  expect(screen.getByText("Enter six digits.")).toBeTruthy();
  expect(sent.length).toBe(1);
});

test("starting over forgets the password", async () => {
  answers["POST /auth/v1/sessions"] = refuse(401, "SecondFactorRequired");
  open();
  await typePassword();
  await userEvent.click(await screen.findByRole("button", { name: "Start over" }));
  expect(screen.getByLabelText<HTMLInputElement>("Password").value).toBe("");
});

test("a password that must be changed: the rules are followed live, then signed in with the new one", async () => {
  answers["POST /auth/v1/sessions"] = (body) => (body.password === "old-secret" ? refuse(403, "PasswordChangeRequired") : json(session))(body);
  answers["POST /auth/v1/password"] = empty;
  const signedIn = open();
  await typePassword();
  await screen.findByRole("heading", { name: "Choose a new password" });
  const met = () => [...document.querySelectorAll("[data-met=true]")].map((rule) => rule.textContent);
  expect(met()).toEqual([]);
  await userEvent.type(screen.getByLabelText("New password"), "abc1");
  expect(met()).toEqual(["A letter: met", "A digit: met"]);
  await userEvent.click(screen.getByRole("button", { name: "Change password" }));
  expect(screen.getByText("The rules below are not all met yet.")).toBeTruthy();
  await userEvent.type(screen.getByLabelText("New password"), "-xyz");
  expect(met().length).toBe(4);
  await userEvent.type(screen.getByLabelText("New password, again"), "abc1-xyy");
  expect(screen.getByText("The two are not the same.")).toBeTruthy();
  await userEvent.type(screen.getByLabelText("New password, again"), "{Backspace}z");
  await userEvent.click(screen.getByRole("button", { name: "Change password" }));
  await waitFor(() => expect(signedIn).toHaveBeenCalled());
  expect(sent.map(({ path }) => path)).toEqual(["POST /auth/v1/sessions", "POST /auth/v1/password", "POST /auth/v1/sessions"]);
  expect(sent[1]?.body).toEqual({ username: "ada", password: "old-secret", newPassword: "abc1-xyz" });
  expect(sent[2]?.body).toEqual({ username: "ada", password: "abc1-xyz" });
});

test("what the server has against a new password is shown beside it", async () => {
  answers["POST /auth/v1/sessions"] = refuse(403, "PasswordChangeRequired");
  answers["POST /auth/v1/password"] = refuse(422, "Invalid", { details: { causes: [{ field: "newPassword", message: "was used before" }] } });
  open();
  await typePassword();
  await userEvent.type(await screen.findByLabelText("New password"), "abc1-xyz");
  await userEvent.type(screen.getByLabelText("New password, again"), "abc1-xyz");
  await userEvent.click(screen.getByRole("button", { name: "Change password" }));
  await screen.findByText("was used before");
  expect(screen.getByLabelText("New password").getAttribute("aria-invalid")).toBe("true");
});

test("a second factor that must be set up: picture, text, confirmation, and then a code to sign in", async () => {
  let enrolled = false;
  answers["POST /auth/v1/sessions"] = (body) => {
    if (!enrolled) return refuse(403, "SecondFactorSetupRequired")(body);
    return (body.code ? json(session) : refuse(401, "SecondFactorRequired"))(body);
  };
  answers["POST /auth/v1/totp/enrol"] = json({ secret: "JBSWY3DPEHPK3PXP", uri: "otpauth://totp/ACP:ada?secret=JBSWY3DPEHPK3PXP&issuer=ACP" });
  answers["POST /auth/v1/totp/confirm"] = (body) => {
    if (body.code !== "111111") return refuse(401, "WrongCode")(body);
    enrolled = true;
    return empty(body);
  };
  const signedIn = open();
  await typePassword();
  await screen.findByRole("img", { name: /QR code/ });
  expect(screen.getByText("JBSW Y3DP EHPK 3PXP")).toBeTruthy();
  await userEvent.type(screen.getByLabelText("Code the app shows"), "222222{Enter}");
  expect((await screen.findByRole("alert")).textContent).toContain("The code is not right");
  await userEvent.type(screen.getByLabelText("Code the app shows"), "111111{Enter}");
  await screen.findByText(/The second factor is set up/);
  expect(document.body.textContent).not.toContain("JBSW");
  await userEvent.type(screen.getByLabelText("Code"), "333333{Enter}");
  await waitFor(() => expect(signedIn).toHaveBeenCalled());
  expect(sent.filter(({ path }) => path.endsWith("/enrol")).length).toBe(1);
});

test("locked: says for how long, counts down, and does not send", async () => {
  answers["POST /auth/v1/sessions"] = refuse(429, "Locked", {}, { "Retry-After": "1200" });
  open();
  await typePassword();
  const alert = await screen.findByRole("alert");
  expect(alert.textContent).toContain("Too many sign-ins have failed");
  expect(alert.querySelector(".sr-only")?.textContent).toBe("Sign-in opens again in 20:00.");
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Sign in" }).disabled).toBe(true);
});

test.each([
  ["UserDisabled", "Your account is disabled."],
  ["UserInvalid", "Your account is no longer valid"],
  ["UserExpired", "Your account has expired."],
  ["TooManyOnline", "As many people as allowed are signed in."],
])("%s is said in plain words", async (reason, words) => {
  answers["POST /auth/v1/sessions"] = refuse(403, reason);
  open();
  await typePassword();
  expect((await screen.findByRole("alert")).textContent).toContain(words);
});

test("a provider that does not answer is named", async () => {
  answers["POST /auth/v1/sessions"] = refuse(503, "ProviderUnavailable");
  open();
  await typePassword();
  expect((await screen.findByRole("alert")).textContent).toContain("because of ProviderUnavailable");
});

test("an error that came back from a provider is said; a text that anybody wrote is not repeated", async () => {
  providers.push({ id: "okta", name: "Okta", type: "oidc" });
  history.replaceState(null, "", "/sign-in?error=MissingEmail&provider=okta");
  open();
  const alert = await screen.findByRole("alert");
  await waitFor(() => expect(alert.textContent).toContain("Okta did not sign you in"));
  expect(alert.textContent).toContain("no e-mail address");
});

test("an invented error or provider in the address stays out of the page", async () => {
  history.replaceState(null, "", "/sign-in?error=Call+555-0199&provider=Your+bank");
  open();
  expect((await screen.findByRole("alert")).textContent).toBe("Signing in did not work. Start again.");
  expect(document.body.textContent).not.toContain("555");
  expect(document.body.textContent).not.toContain("bank");
});

test("nothing of signing in stays in the browser's storage", async () => {
  answers["POST /auth/v1/sessions"] = refuse(401, "SecondFactorRequired");
  open();
  await typePassword();
  await screen.findByLabelText("Code");
  expect({ ...localStorage, ...sessionStorage }).toEqual({});
});

// ---- flows -------------------------------------------------------------------

const flow = { client: { id: "grafana", name: "Grafana", firstParty: false }, scopes: ["openid", "groups", "x:y"], device: false };

function visit(path: string): void {
  history.replaceState(null, "", path);
  render(<App />);
}

test("a client of somebody else: its wishes in words, and nothing without a press", async () => {
  answers["GET /auth/v1/sessions/current"] = json(session);
  answers["GET /auth/v1/flows/F"] = json(flow);
  answers["POST /auth/v1/flows/F/approve"] = json({ redirectURL: "https://grafana.example/cb?code=c" });
  visit("/sign-in?flow=F");
  await screen.findByRole("heading", { name: "Grafana wants to sign you in" });
  expect(screen.getByText("Know who you are")).toBeTruthy();
  expect(screen.getByText("Something else: x:y")).toBeTruthy();
  expect(sent).toEqual([]);
  await userEvent.click(screen.getByRole("button", { name: "Allow" }));
  await waitFor(() => expect(assigned).toHaveBeenCalledWith("https://grafana.example/cb?code=c"));
});

test("denying goes back as well", async () => {
  answers["GET /auth/v1/sessions/current"] = json(session);
  answers["GET /auth/v1/flows/F"] = json(flow);
  answers["POST /auth/v1/flows/F/deny"] = json({ redirectURL: "https://grafana.example/cb?error=access_denied" });
  visit("/sign-in?flow=F");
  await userEvent.click(await screen.findByRole("button", { name: "Deny" }));
  await waitFor(() => expect(assigned).toHaveBeenCalledWith("https://grafana.example/cb?error=access_denied"));
});

// threats.md case 34
test("an answer that leads anywhere but the web is not followed", async () => {
  answers["GET /auth/v1/sessions/current"] = json(session);
  answers["GET /auth/v1/flows/F"] = json(flow);
  answers["POST /auth/v1/flows/F/approve"] = json({ redirectURL: "javascript:alert(1)" });
  visit("/sign-in?flow=F");
  await userEvent.click(await screen.findByRole("button", { name: "Allow" }));
  await screen.findByRole("heading", { name: "Not followed" });
  expect(assigned).not.toHaveBeenCalled();
});

const ac = { client: { id: "ac", name: "ac", firstParty: true }, scopes: ["openid"], device: false };

test("our own client, with a session there already: continue, or another account", async () => {
  let who: typeof session | undefined = session;
  answers["GET /auth/v1/sessions/current"] = (body) => (who ? json(who) : refuse(401, "Unauthorized"))(body);
  answers["DELETE /auth/v1/sessions/current"] = (body) => {
    who = undefined;
    return empty(body);
  };
  answers["POST /auth/v1/sessions"] = (body) => {
    who = { ...session, username: "grace" };
    return json(who)(body);
  };
  answers["GET /auth/v1/flows/F"] = json(ac);
  answers["POST /auth/v1/flows/F/approve"] = json({ redirectURL: "http://127.0.0.1:4711/callback?code=c" });
  visit("/sign-in?flow=F");
  await screen.findByRole("button", { name: "Continue as ada" });
  expect(sent).toEqual([]);
  await userEvent.click(screen.getByRole("button", { name: "Use another account" }));
  expect(location.search).toBe("?flow=F");
  await typePassword();
  // Who has just typed a password for our own client has answered.
  await waitFor(() => expect(assigned).toHaveBeenCalledWith("http://127.0.0.1:4711/callback?code=c"));
  expect(sent.filter(({ path }) => path.endsWith("/approve")).length).toBe(1);
});

test("providers keep the flow", async () => {
  providers.push({ id: "okta", name: "Okta", type: "oidc" });
  answers["GET /auth/v1/sessions/current"] = refuse(401, "Unauthorized");
  visit("/sign-in?flow=F");
  expect((await screen.findByRole("link", { name: "Continue with Okta" })).getAttribute("href")).toBe("/auth/v1/providers/okta/login?next=%2Fsign-in%3Fflow%3DF&flow=F");
});

test("a request that is over says so", async () => {
  answers["GET /auth/v1/sessions/current"] = json(session);
  visit("/sign-in?flow=F");
  await screen.findByRole("heading", { name: "This request is over" });
});

// threats.md case 35
test("a device: its code is typed, shown again with who asked, and approved only by hand", async () => {
  answers["GET /auth/v1/sessions/current"] = json(session);
  answers["POST /auth/v1/flows/device"] = (body) => (body.userCode === "ABCD-EFGH" ? json({ flow: "F" }) : refuse(404, "NotFound"))(body);
  answers["GET /auth/v1/flows/F"] = json({ ...ac, device: true, userCode: "ABCD-EFGH", address: "203.0.113.7" });
  answers["POST /auth/v1/flows/F/approve"] = json({});
  visit("/device");
  await userEvent.type(await screen.findByLabelText("Code"), "wrongcod{Enter}");
  await screen.findByText(/There is no such code/);
  await userEvent.clear(screen.getByLabelText("Code"));
  await userEvent.type(screen.getByLabelText("Code"), "abcd efgh{Enter}");
  await screen.findByRole("heading", { name: "Does your terminal show this code?" });
  expect(screen.getByText("203.0.113.7")).toBeTruthy();
  expect(screen.getByText("ABCD-EFGH")).toBeTruthy();
  expect(sent.some(({ path }) => path.endsWith("/approve"))).toBe(false);
  await userEvent.click(screen.getByRole("button", { name: "Approve" }));
  await screen.findByRole("heading", { name: "Signed in" });
  expect(assigned).not.toHaveBeenCalled();
});

// threats.md case 35
test("a link that brings a code along approves nothing, not even after signing in", async () => {
  answers["GET /auth/v1/sessions/current"] = refuse(401, "Unauthorized");
  answers["POST /auth/v1/sessions"] = (body) => {
    answers["GET /auth/v1/sessions/current"] = json(session);
    return json(session)(body);
  };
  visit("/device?user_code=ABCD-EFGH");
  await typePassword();
  expect((await screen.findByLabelText<HTMLInputElement>("Code")).value).toBe("ABCD-EFGH");
  expect(sent.map(({ path }) => path)).toEqual(["POST /auth/v1/sessions"]);
});

test("guessing codes is slowed down, and said so", async () => {
  answers["GET /auth/v1/sessions/current"] = json(session);
  answers["POST /auth/v1/flows/device"] = refuse(429, "TooManyRequests", {}, { "Retry-After": "20" });
  visit("/device");
  await userEvent.type(await screen.findByLabelText("Code"), "abcdefgh{Enter}");
  expect((await screen.findByRole("alert")).textContent).toContain("Try again in 20 s");
});

test("codes are read as people type them", () => {
  expect(readUserCode("abcd-efgh")).toBe("ABCD-EFGH");
  expect(readUserCode(" ab cd ef gh ij")).toBe("ABCD-EFGH");
  expect(readUserCode("abc")).toBe("ABC");
});

// ---- what is over --------------------------------------------------------------

test("signed out: says so without asking anything", async () => {
  visit("/signed-out?reason=idle");
  await screen.findByRole("heading", { name: "You are signed out" });
  expect(screen.getByText(/Nobody was at this page/)).toBeTruthy();
  expect(screen.getByRole("link", { name: "Sign in again" }).getAttribute("href")).toBe("/sign-in");
});

/** Below a session, and out by the menu. */
async function leave(type: string, answer: Answer): Promise<void> {
  let here = true;
  answers["GET /auth/v1/sessions/current"] = (body) => (here ? json({ ...session, provider: { id: "x", name: "X", type } }) : refuse(401, "Unauthorized"))(body);
  answers["DELETE /auth/v1/sessions/current"] = (body) => {
    here = false;
    return answer(body);
  };
  visit("/clusters");
  await userEvent.click(await screen.findByRole("button", { name: "User menu" }));
  await userEvent.click(await screen.findByRole("menuitem", { name: "Sign out" }));
}

test("signing out of an account with a page of its own does not lead straight back in", async () => {
  await leave("oidc", empty);
  await screen.findByRole("heading", { name: "You are signed out" });
  expect(location.pathname).toBe("/signed-out");
  // Other tabs are told, and this one hears it as well.
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(screen.getByRole("heading", { name: "You are signed out" })).toBeTruthy();
});

test("signing out of a local account leads to sign-in", async () => {
  await leave("local", empty);
  await screen.findByRole("heading", { name: "Sign in" });
  expect(location.pathname).toBe("/sign-in");
});

test("a provider that wants to end its own session is visited, if it is on the web", async () => {
  await leave("oidc", json({ logoutURL: "https://okta.example/logout" }));
  await waitFor(() => expect(assigned).toHaveBeenCalledWith("https://okta.example/logout"));
});

test("a provider that leads anywhere else is not", async () => {
  await leave("oidc", json({ logoutURL: "javascript:alert(1)" }));
  await screen.findByRole("heading", { name: "You are signed out" });
  expect(assigned).not.toHaveBeenCalled();
});

test("the result of a trial is text, step by step", async () => {
  const result = { ok: false, steps: [{ name: "Sign in", state: "Passed" }, { name: "Read claims", state: "Failed", message: "<img src=x onerror=alert(1)>" }], person: { login: "ada", groups: ["dev"] } };
  visit(`/validated#${encodeURIComponent(JSON.stringify(result))}`);
  await screen.findByRole("heading", { name: "The provider does not work yet" });
  const steps = screen.getAllByRole("listitem");
  expect(within(steps[1] as HTMLElement).getByText("Failed")).toBeTruthy();
  expect(document.querySelector("#root img, [onerror]")).toBeNull();
});

test("a result that is none is said to be none", () => {
  for (const bad of ["", "#", "#x", "#%", `#${encodeURIComponent("[]")}`, `#${encodeURIComponent('{"ok":"yes"}')}`]) expect(readFragment(bad)).toBeUndefined();
  expect(readFragment(`#${encodeURIComponent('{"ok":true,"steps":[1,{"name":"a"}],"person":{"groups":"x"}}')}`)).toEqual({ ok: true, steps: [{ name: "a", state: "Failed" }], person: { groups: [] } });
});

test("in Chinese", async () => {
  await switchLanguage("zh");
  answers["POST /auth/v1/sessions"] = refuse(429, "Locked", {}, { "Retry-After": "61" });
  render(<SignIn ended={false} onSignedIn={vi.fn()} />);
  await userEvent.type(await screen.findByLabelText("用户名"), "ada");
  await userEvent.type(screen.getByLabelText("密码"), "x{Enter}");
  expect((await screen.findByRole("alert")).textContent).toContain("1:01 后可再次登录。");
  await switchLanguage("en");
});
