// Identity providers and the security policy, against a fetch that answers by path.
import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import { CONNECTORS_PATH, POLICY_PATH, USERS_PATH, type Connector } from "../api/directory";
import Shell from "../shell/shell";
import { draftOf, fieldsOf, isAsked, missing, patchConfig, readConfig, writeConfig, type ConnectorValues } from "./connector-fields";
import { providerView } from "./model";
import { policyPatch, policyProblems, POLICY_DEFAULTS, readPolicyValues } from "./policy";
import { providerActions } from "./provider-listing";

const session = { username: "root", groups: [], expirationTimestamp: "2030-01-01T00:00:00Z" };
type Answer = (body: Record<string, unknown>) => Response;
let answers: Record<string, Answer>;
let sent: { call: string; body: Record<string, unknown>; type: string | null }[];

const json =
  (body: unknown, status = 200): Answer =>
  () =>
    Response.json(body, { status });
const refuse = (code: number, reason: string, more = {}): Answer => json({ kind: "Status", code, reason, message: `because of ${reason}`, ...more }, code);

const ldap: Connector = {
  metadata: { name: "corp", namespace: "cpaas-system", resourceVersion: "1" },
  id: "corp",
  name: "Corp LDAP",
  type: "ldap",
  spec: {
    config: { host: "ldap.corp:636", bindDN: "cn=acp", userSearch: { baseDN: "ou=people", username: "mail", idAttr: "uid", emailAttr: "mail" }, custom: "kept" },
    sync: { schedule: "0 2 * * *" },
  },
  status: { conditions: [{ type: "Ready", status: "True", reason: "Reachable" }, { type: "Synced", status: "False", reason: "BindFailed", message: "49 Invalid Credentials" }] },
};

beforeEach(() => {
  localStorage.clear();
  sent = [];
  answers = {
    [`GET ${CONNECTORS_PATH}`]: json({ metadata: { resourceVersion: "5" }, items: [ldap, { metadata: { name: "okta" }, id: "okta", name: "Okta", type: "oidc", spec: { disabled: true } }] }),
    [`GET ${USERS_PATH}`]: json({ metadata: { resourceVersion: "5" }, items: [{ metadata: { name: "x" }, spec: { username: "wang", connector_id: "corp" } }] }),
  };
  vi.stubGlobal("fetch", (input: RequestInfo | URL, init?: RequestInit) => {
    const url = new URL(String(input), "http://x");
    const call = `${init?.method ?? "GET"} ${url.pathname}`;
    if (url.searchParams.has("watch")) return new Promise(() => undefined);
    const body = JSON.parse(String(init?.body ?? "{}")) as Record<string, unknown>;
    if (!call.startsWith("GET")) sent.push({ call, body, type: new Headers(init?.headers).get("Content-Type") });
    return Promise.resolve((answers[call] ?? refuse(404, "NotFound"))(body));
  });
});

async function open(path: string): Promise<void> {
  history.replaceState(null, "", path);
  render(<Shell session={session} onSignOut={vi.fn()} />);
  await screen.findByRole("heading", { level: 1 });
}
const top = async () => within((await screen.findAllByRole("dialog")).at(-1) as HTMLElement);

test("providers: the worst condition decides the state, and disabled ones say so", async () => {
  await open("/providers");
  const row = (await screen.findByRole("link", { name: "Corp LDAP" })).closest("tr");
  expect(row?.textContent).toContain("FailingBindFailed");
  expect(row?.textContent).toContain("49 Invalid Credentials");
  expect(screen.getByRole("link", { name: "Okta" }).closest("tr")?.textContent).toContain("Disabled");
  expect(providerActions(providerView(ldap))).toEqual(["edit", "sync", "disable", "remove"]);
  expect(providerActions(providerView({ metadata: { name: "g" }, type: "github", spec: { disabled: true } }))).toEqual(["enable", "remove"]);
});

test("a new provider is tried with a real account before it can be saved; an edit makes the trial worthless", async () => {
  let works = false;
  answers["POST /auth/v1/connectors/validate"] = () =>
    Response.json(
      works
        ? { ok: true, steps: [{ name: "Bind", state: "Passed" }], person: { login: "wang", email: "wang@corp", groups: ["dev"] } }
        : { ok: false, steps: [{ name: "Connect", state: "Passed" }, { name: "Bind", state: "Failed", message: "49 Invalid Credentials" }] },
    );
  answers[`POST ${CONNECTORS_PATH}`] = json({}, 201);
  await open("/providers");
  await userEvent.click(await screen.findByRole("button", { name: "Add provider" }));
  const form = await top();
  await userEvent.click(form.getByRole("button", { name: "Try it out" }));
  expect(form.getAllByText("This is needed.").length).toBe(4);
  expect(sent).toEqual([]);
  await userEvent.type(form.getByLabelText("ID"), "branch");
  await userEvent.type(form.getByLabelText("Host and port"), "ldap.branch:636");
  await userEvent.type(form.getByLabelText("CA certificate"), "Q0E=");
  await userEvent.type(form.getByLabelText("Search users below (DN)"), "ou=people");
  await userEvent.type(form.getByLabelText("User name"), "wang");
  await userEvent.type(form.getByLabelText("Password"), "pass");
  await userEvent.click(form.getByRole("button", { name: "Try it out" }));
  await form.findByText("49 Invalid Credentials");
  expect(form.getByRole("button", { name: "Save anyway" })).toBeTruthy();
  expect(sent[0]?.body).toMatchObject({ username: "wang", password: "pass", connector: { id: "branch", type: "ldap", spec: { config: { host: "ldap.branch:636" } } } });
  works = true;
  await userEvent.type(form.getByLabelText("Host and port"), "x");
  expect(form.queryByText("49 Invalid Credentials")).toBeNull();
  await userEvent.click(form.getByRole("button", { name: "Try it out" }));
  await form.findByText("wang@corp");
  await userEvent.click(form.getByRole("button", { name: "Save" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  const saved = sent.at(-1);
  expect(saved?.call).toBe(`POST ${CONNECTORS_PATH}`);
  expect(saved?.body).toMatchObject({ kind: "Connector", id: "branch", name: "branch", type: "ldap", metadata: { name: "branch", namespace: "cpaas-system" } });
  // The account of the trial is not part of it.
  expect(JSON.stringify(saved?.body)).not.toContain("pass\"");
});

test("what a trial came to is scrolled to and read out; a refused field gets the focus", async () => {
  const scrolled = vi.spyOn(Element.prototype, "scrollIntoView");
  answers["POST /auth/v1/connectors/validate"] = json({ ok: true, steps: [{ name: "Connection", state: "Passed" }] });
  answers[`PATCH ${CONNECTORS_PATH}/corp`] = refuse(422, "Invalid", { details: { causes: [{ field: "spec.config.groupSearch.baseDN", message: "is no DN" }] } });
  await open("/providers/corp");
  await userEvent.click(within(await screen.findByRole("dialog", { name: "Corp LDAP" })).getByRole("button", { name: "Edit…" }));
  const form = await top();
  await userEvent.type(form.getByLabelText(/^Search groups below/), "nonsense");
  await userEvent.click(form.getByRole("button", { name: "Try it out" }));
  const result = await form.findByText("It works.");
  expect(result.closest("[aria-live=polite]")).toBeTruthy();
  expect(scrolled.mock.contexts.some((element) => (element as Element).contains(result))).toBe(true);
  await userEvent.click(form.getByRole("button", { name: "Save" }));
  await form.findByText("is no DN");
  expect(document.activeElement).toBe(form.getByLabelText(/^Search groups below/));
  expect(form.getByLabelText(/^Search users below/).getAttribute("aria-invalid")).toBeNull();
});

test("a redirect provider leads to a real account in a window of its own, by an address of ours only", async () => {
  let url = "/auth/v1/providers/branch/login?validate=true";
  answers["POST /auth/v1/connectors/validate"] = () => Response.json({ ok: true, steps: [{ name: "Reach", state: "Passed" }], url });
  await open("/providers");
  await userEvent.click(await screen.findByRole("button", { name: "Add provider" }));
  const form = await top();
  await userEvent.click(form.getByRole("radio", { name: "OIDC" }));
  await userEvent.type(form.getByLabelText("ID"), "branch");
  await userEvent.type(form.getByLabelText("Issuer"), "https://okta.example");
  await userEvent.type(form.getByLabelText("Client ID"), "c");
  await userEvent.type(form.getByLabelText("Client secret"), "s");
  await userEvent.type(form.getByLabelText("CA certificate"), "Q0E=");
  expect(form.getByLabelText<HTMLInputElement>("Redirect URI").value).toMatch(/\/dex\/callback$/);
  await userEvent.click(form.getByRole("button", { name: "Try it out" }));
  const link = await form.findByRole("link", { name: "Sign in with a real account" });
  expect(link.getAttribute("href")).toBe("/auth/v1/providers/branch/login?validate=true");
  expect(link.getAttribute("rel")).toBe("noopener noreferrer");
  for (const bad of ["javascript:alert(1)", "https://evil.example/", "//evil.example/"]) {
    url = bad;
    await userEvent.click(form.getByRole("button", { name: "Try again" }));
    await waitFor(() => expect(form.queryByRole("link")).toBeNull());
  }
});

test("editing shows no secret, keeps it, and sends only what was changed", async () => {
  answers["POST /auth/v1/connectors/validate"] = json({ ok: true, steps: [] });
  answers[`PATCH ${CONNECTORS_PATH}/corp`] = json({});
  await open("/providers/corp");
  await userEvent.click(within(await screen.findByRole("dialog", { name: "Corp LDAP" })).getByRole("button", { name: "Edit…" }));
  const form = await top();
  expect(form.getByLabelText<HTMLInputElement>(/^Its password/).value).toBe("");
  await userEvent.type(form.getByLabelText("Host and port"), "0");
  await userEvent.clear(form.getByLabelText(/^Account to search with/));
  await userEvent.clear(form.getByLabelText(/^Sync schedule/));
  await userEvent.click(form.getByRole("button", { name: "Try it out" }));
  await userEvent.click(await form.findByRole("button", { name: "Save" }));
  await waitFor(() => expect(sent.length).toBe(2));
  expect(sent[1]).toEqual({ call: `PATCH ${CONNECTORS_PATH}/corp`, body: { spec: { config: { host: "ldap.corp:6360", bindDN: null }, sync: null } }, type: "application/merge-patch+json" });
});

test("what the server refuses is shown beside its field", async () => {
  answers["POST /auth/v1/connectors/validate"] = refuse(422, "Invalid", { details: { causes: [{ field: "spec.config.userSearch.filter", message: "is no filter" }] } });
  await open("/providers/corp");
  await userEvent.click(within(await screen.findByRole("dialog", { name: "Corp LDAP" })).getByRole("button", { name: "Edit…" }));
  const form = await top();
  await userEvent.click(form.getByRole("button", { name: "Try it out" }));
  expect((await form.findAllByText("is no filter")).length).toBeGreaterThan(0);
});

test.each([
  ["corp", "Sync now…", "POST /auth/v1/connectors/corp/sync", {}],
  ["corp", "Disable…", `PATCH ${CONNECTORS_PATH}/corp`, { spec: { disabled: true } }],
  ["okta", "Enable…", `PATCH ${CONNECTORS_PATH}/okta`, { spec: { disabled: false } }],
])("%s: %s", async (name, action, call, body) => {
  answers[call] = json({}, 202);
  await open(`/providers/${name}`);
  await userEvent.click(within(await screen.findByRole("dialog")).getByRole("button", { name: action }));
  await userEvent.click((await top()).getByRole("button", { name: action.replace("…", "") }));
  await waitFor(() => expect(sent.map((each) => [each.call, each.body])).toEqual([[call, body]]));
});

test("disabling says that sessions end", async () => {
  await open("/providers/corp");
  await userEvent.click(within(await screen.findByRole("dialog")).getByRole("button", { name: "Disable…" }));
  expect((await top()).getByText(/signed out at once/)).toBeTruthy();
});

test("deleting says what becomes of its users, and takes the ID", async () => {
  answers[`DELETE ${CONNECTORS_PATH}/corp`] = json({});
  await open("/providers/corp");
  await userEvent.click(within(await screen.findByRole("dialog")).getByRole("button", { name: "Delete…" }));
  const asked = await top();
  await asked.findByText("1 user comes from it.");
  expect(asked.getByText(/Its users become invalid/)).toBeTruthy();
  await userEvent.type(asked.getByLabelText("Type the provider's ID to confirm:"), "corp");
  await userEvent.click(asked.getByRole("button", { name: "Delete provider" }));
  await waitFor(() => expect(location.pathname).toBe("/providers"));
});

test("configurations: written whole, and patched without touching what the form does not know", () => {
  const values = readConfig("ldap", ldap.spec?.config, "");
  expect(values["userSearch.baseDN"]).toBe("ou=people");
  expect(patchConfig("ldap", values, values)).toEqual({});
  expect(patchConfig("ldap", values, { ...values, "userSearch.nameAttr": "cn", bindPW: " with spaces " })).toEqual({ userSearch: { nameAttr: "cn" }, bindPW: " with spaces " });
  expect(patchConfig("ldap", { ...values, startTLS: true }, { ...values, startTLS: false })).toEqual({ startTLS: false });
  const fresh = readConfig("ldap", undefined, "");
  // Without a place to search groups in, there is no group search.
  expect(writeConfig("ldap", fresh)).not.toHaveProperty("groupSearch");
  expect(missing("ldap", fresh)).toEqual(["host", "rootCAData", "userSearch.baseDN"]);
  const old = readConfig("oidc", { issuer: "i", clientID: "c", redirectURI: "r" }, "");
  expect(missing("oidc", old, old)).toEqual([]);
  expect(missing("oidc", { ...old, issuer: "" }, old)).toEqual(["issuer"]);
  expect(writeConfig("oidc", { ...readConfig("oidc", undefined, "r"), scopes: "openid, email" })).toMatchObject({ scopes: ["openid", "email"], redirectURI: "r" });
  const pem = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----";
  const saml = draftOf("a", "", "saml", writeConfig("saml", { ...readConfig("saml", undefined, "r"), caData: pem }), "");
  expect(atob(String(saml.spec.config?.caData))).toBe(`${pem}\n`);
  expect(readConfig("saml", saml.spec.config, "").caData).toBe(`${pem}\n`);
});

test("what a provider cannot use together is asked for one at a time", () => {
  const asked = (values: ConnectorValues, type: "ldap" | "oidc" | "saml") => fieldsOf(type).filter((field) => isAsked(field, values, {})).map(({ path }) => path);
  const plain = { ...readConfig("ldap", { host: "h", rootCAData: "Q0E=", startTLS: true }, ""), insecureNoSSL: true };
  expect(asked(plain, "ldap")).not.toEqual(expect.arrayContaining(["rootCAData"]));
  expect(patchConfig("ldap", { ...plain, insecureNoSSL: false }, plain)).toEqual({ insecureNoSSL: true, rootCAData: null, startTLS: false });
  const saml = readConfig("saml", undefined, "r");
  expect(missing("saml", saml)).toEqual(["ssoIssuer", "ssoURL", "caData"]);
  const described = { ...saml, ssoURL: "https://idp", idpMetadata: "<EntityDescriptor/>" };
  expect(missing("saml", described)).toEqual([]);
  expect(writeConfig("saml", described)).toEqual({ idpMetadata: "<EntityDescriptor/>", redirectURI: "r", usernameAttr: "name", emailAttr: "email", groupsAttr: "groups" });
  // Never accepted: only to be taken out of an object that has it.
  expect(asked(readConfig("oidc", undefined, "r"), "oidc")).not.toContain("insecureSkipVerify");
  const trusting = readConfig("oidc", { insecureSkipVerify: true }, "r");
  expect(fieldsOf("oidc").filter((field) => isAsked(field, trusting, trusting)).map(({ path }) => path)).toContain("insecureSkipVerify");
  // Without a place to search in, the whole search goes.
  const directory = readConfig("ldap", { groupSearch: { baseDN: "ou=groups", nameAttr: "cn" } }, "");
  expect(patchConfig("ldap", directory, { ...directory, "groupSearch.baseDN": "" })).toEqual({ groupSearch: null });
});

test("a certificate with remarks in any language is kept as it is", () => {
  const pem = "# 根证书\n-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----";
  const { rootCAData } = writeConfig("oidc", { rootCAData: pem });
  expect(new TextDecoder().decode(Uint8Array.from(atob(String(rootCAData)), (byte) => byte.charCodeAt(0)))).toBe(`${pem}\n`);
  expect(readConfig("oidc", { rootCAData }, "").rootCAData).toBe(`${pem}\n`);
});

test("further claims: each with its type; a trial of an old provider knows what the form does not", async () => {
  const config = { issuer: "https://login.corp", clientID: "acp", clientSecret: { secretKeyRef: { name: "connector-staff", key: "clientSecret" } }, redirectURI: "https://acp/dex/callback", userIDKey: "oid", claimExtra: [{ field: "department" }] };
  answers[`GET ${CONNECTORS_PATH}`] = json({ metadata: { resourceVersion: "5" }, items: [{ metadata: { name: "staff" }, id: "staff", name: "Staff", type: "oidc", spec: { config } }] });
  answers["POST /auth/v1/connectors/validate"] = json({ ok: true, steps: [{ name: "Configuration", state: "Passed" }] });
  answers[`PATCH ${CONNECTORS_PATH}/staff`] = json({});
  await open("/providers/staff");
  await userEvent.click(within(await screen.findByRole("dialog", { name: "Staff" })).getByRole("button", { name: "Edit…" }));
  const form = await top();
  const claims = within(form.getByRole("group", { name: "Further claims" }));
  expect(claims.getByLabelText<HTMLInputElement>("Claim").value).toBe("department");
  await userEvent.click(claims.getByRole("button", { name: "Add a claim" }));
  await userEvent.type(claims.getAllByLabelText("Claim")[1] as HTMLElement, "badge");
  await userEvent.selectOptions(claims.getAllByLabelText("Type")[1] as HTMLElement, "number");
  await userEvent.click(claims.getByRole("button", { name: "Add a claim" }));
  await userEvent.type(form.getByLabelText(/^Groups key/), "roles");
  await userEvent.click(form.getByRole("button", { name: "Try it out" }));
  const claimExtra = [{ field: "department", type: "string" }, { field: "badge", type: "number" }];
  await waitFor(() => expect(sent[0]?.body).toEqual({ connector: { id: "staff", name: "Staff", type: "oidc", spec: { config: { ...config, claimExtra, groupsKey: "roles" } } } }));
  await userEvent.click(await form.findByRole("button", { name: "Save" }));
  await waitFor(() => expect(sent[1]?.body).toEqual({ spec: { config: { claimExtra, groupsKey: "roles" } } }));
});

// ---- policy ----------------------------------------------------------------------------------

test("policy: what is there is shown, only what was changed is sent", async () => {
  answers[`GET ${POLICY_PATH}`] = json({ metadata: { name: "platform", resourceVersion: "9" }, spec: { ...POLICY_DEFAULTS, sessions: { lifetimeHours: 8 } } });
  answers[`PATCH ${POLICY_PATH}`] = json({ metadata: { name: "platform", resourceVersion: "10" }, spec: { ...POLICY_DEFAULTS, secondFactor: "Required" } });
  await open("/security-policy");
  const hours = await screen.findByLabelText<HTMLInputElement>("A session ends after");
  expect(hours.value).toBe("8");
  const save = screen.getByRole<HTMLButtonElement>("button", { name: "Save" });
  expect(save.disabled).toBe(true);
  await userEvent.click(screen.getByRole("radio", { name: "Required" }));
  expect(screen.getByText("Everybody has to set one up at the next sign-in.")).toBeTruthy();
  await userEvent.clear(hours);
  await userEvent.type(hours, "4000");
  await userEvent.click(save);
  expect(screen.getByText("Choose between 1 and 720.")).toBeTruthy();
  expect(document.activeElement).toBe(hours);
  expect(sent).toEqual([]);
  await userEvent.clear(hours);
  await userEvent.type(hours, "24");
  await userEvent.click(screen.getByLabelText("Sessions end with the browser"));
  await userEvent.click(save);
  await waitFor(() =>
    expect(sent).toEqual([{ call: `PATCH ${POLICY_PATH}`, body: { spec: { secondFactor: "Required", sessions: { lifetimeHours: 24, endWithTab: true } } }, type: "application/merge-patch+json" }]),
  );
  // What the hub answered is what counts from now on.
  await waitFor(() => expect(screen.getByLabelText<HTMLInputElement>("A session ends after").value).toBe("12"));
});

test("policy: none yet shows the defaults, and saving makes it", async () => {
  answers["POST /kubernetes/global/apis/auth.alauda.io/v1/securitypolicies"] = json({ metadata: { name: "platform" }, spec: {} }, 201);
  await open("/security-policy");
  await screen.findByText(/None has been set yet/);
  await userEvent.click(screen.getByRole("radio", { name: "Off" }));
  await userEvent.click(screen.getByRole("button", { name: "Save" }));
  await waitFor(() => expect(sent[0]?.body).toMatchObject({ kind: "SecurityPolicy", metadata: { name: "platform" }, spec: { secondFactor: "Off" } }));
});

test("policy: no right is named; a refused change keeps what was typed", async () => {
  answers[`GET ${POLICY_PATH}`] = refuse(403, "Forbidden");
  await open("/security-policy");
  await screen.findByText("You may not read the security policy", undefined, { timeout: 5_000 });
  expect(screen.getByText("securitypolicies.auth.alauda.io")).toBeTruthy();
  answers[`GET ${POLICY_PATH}`] = json({ metadata: { name: "platform" }, spec: POLICY_DEFAULTS });
  answers[`PATCH ${POLICY_PATH}`] = refuse(403, "Forbidden");
  await userEvent.click(screen.getByRole("button", { name: "Retry" }));
  await userEvent.click(await screen.findByRole("radio", { name: "Off" }));
  await userEvent.click(screen.getByRole("button", { name: "Save" }));
  await screen.findByText("because of Forbidden");
  expect(screen.getByRole("radio", { name: "Off" }).getAttribute("aria-checked")).toBe("true");
});

test("policy: numbers are whole and in range, and the longest is not shorter than the shortest", () => {
  const values = readPolicyValues(undefined);
  expect(policyProblems(values)).toEqual({});
  expect(policyPatch(values, values)).toEqual({});
  for (const bad of ["", "x", "1.5", "-1", "1e3"]) expect(policyProblems({ ...values, inactivityDays: bad }).inactivityDays?.kind).toBe("number");
  expect(policyProblems({ ...values, "password.minLength": "20", "password.maxLength": "10" })).toEqual({ "password.maxLength": { kind: "order" } });
  expect(readPolicyValues({ metadata: { name: "x" }, spec: { lock: { failures: "many" as unknown as number } } })["lock.failures"]).toBe("5");
});
