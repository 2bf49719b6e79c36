// Users and groups, against a fetch that answers by path.
import { act, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import { CONNECTORS_PATH, GROUPS_PATH, POLICY_PATH, USERS_PATH, type Group, type User } from "../api/directory";
import Shell from "../shell/shell";
import { userSearch } from "../shell/search";
import { groupViews, selectUsers, userView } from "./model";
import { actionsFor } from "./user-actions";

const session = { id: "s", username: "root", groups: [], expirationTimestamp: "2030-01-01T00:00:00Z" };
type Answer = (body: Record<string, unknown>) => Response;
let users: User[];
let groups: Group[];
let answers: Record<string, Answer>;
let sent: { call: string; body: Record<string, unknown>; type: string | null }[];
let streams: Map<string, ReadableStreamDefaultController<Uint8Array>>;

const json =
  (body: unknown, status = 200): Answer =>
  () =>
    Response.json(body, { status });
const empty: Answer = () => new Response(null, { status: 204 });
const refuse = (code: number, reason: string, more = {}): Answer => json({ kind: "Status", code, reason, message: `because of ${reason}`, ...more }, code);

const person = (name: string, spec: User["spec"] = {}, status: User["status"] = {}): User => ({
  metadata: { name: `md5-${name}`, resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" },
  spec: { username: name, email: `${name}@example.com`, connector_id: "local", connector_name: "Local", connector_type: "local", ...spec },
  status: { state: "Normal", ...status },
});

beforeEach(() => {
  localStorage.clear();
  users = [
    person("ada", { account: "Ada Lovelace", groups: ["dev"] }, { secondFactor: true, lastLoginTime: new Date().toISOString() }),
    person("bob", {}, { state: "Disabled", reason: "ByAdministrator", message: "on leave" }),
    person("wang", { connector_id: "corp", connector_name: "Corp LDAP", connector_type: "ldap" }, { state: "Locked", reason: "TooManyFailures" }),
    person("root", { is_admin: true }),
  ];
  groups = [
    { metadata: { name: "ops", resourceVersion: "7" }, spec: { displayName: "Operators", users: ["ada@example.com"] } },
    { metadata: { name: "corp-dev", resourceVersion: "8" }, spec: { users: ["wang@example.com"], refConnector: "corp" } },
  ];
  answers = {
    [`GET ${USERS_PATH}`]: () => Response.json({ metadata: { resourceVersion: "5" }, items: users }),
    [`GET ${GROUPS_PATH}`]: () => Response.json({ metadata: { resourceVersion: "5" }, items: groups }),
    "GET /auth/v1/sessions": json({ items: [] }),
  };
  sent = [];
  streams = new Map();
  vi.stubGlobal("fetch", (input: RequestInfo | URL, init?: RequestInit) => {
    const url = new URL(String(input), "http://x");
    const call = `${init?.method ?? "GET"} ${url.pathname}`;
    if (url.searchParams.has("watch")) return Promise.resolve(new Response(new ReadableStream<Uint8Array>({ start: (controller) => void streams.set(url.pathname, controller) })));
    const body = JSON.parse(String(init?.body ?? "{}")) as Record<string, unknown>;
    if (!call.startsWith("GET")) sent.push({ call: `${call}${url.search}`, body, type: new Headers(init?.headers).get("Content-Type") });
    return Promise.resolve((answers[call] ?? refuse(404, "NotFound"))(body));
  });
});

async function open(path: string): Promise<void> {
  history.replaceState(null, "", path);
  render(<Shell session={session} onSignOut={vi.fn()} />);
  await screen.findByRole("heading", { level: 1 });
}

const event = (path: string, type: string, object: unknown) =>
  act(async () => {
    streams.get(path)?.enqueue(new TextEncoder().encode(`${JSON.stringify({ type, object })}\n`));
    await Promise.resolve();
  });

const dialog = async () => within(await screen.findByRole("dialog", { name: /./ }));
const rows = () => [...document.querySelectorAll("[data-row-link]")].map((link) => link.textContent);

test("users: what the objects say, followed live", async () => {
  await open("/users");
  const row = (await screen.findByRole("link", { name: "ada" })).closest("tr");
  for (const words of ["Ada Lovelace", "Local", "dev", "Normal", "On", "just now"]) expect(row?.textContent).toContain(words);
  expect(screen.getByRole("link", { name: "bob" }).closest("tr")?.textContent).toContain("DisabledByAdministrator");
  await screen.findByText("live");
  await event(USERS_PATH, "MODIFIED", person("bob"));
  await waitFor(() => expect(screen.getByRole("link", { name: "bob" }).closest("tr")?.textContent).toContain("Normal"));
});

test("users: filters are in the address", async () => {
  await open("/users");
  await screen.findByRole("link", { name: "ada" });
  await userEvent.click(screen.getByRole("button", { name: /^Locked/ }));
  await waitFor(() => expect(rows()).toEqual(["wang"]));
  await userEvent.selectOptions(screen.getByLabelText("Filter by provider"), "Local");
  await screen.findByText("No user matches");
  expect(location.search).toBe("?state=Locked&provider=local");
  await userEvent.click(screen.getByRole("button", { name: "Clear filters" }));
  await userEvent.type(screen.getByRole("searchbox"), "dev");
  await waitFor(() => expect(rows()).toEqual(["ada"]));
  expect(userSearch({ q: 7, state: "evil", provider: {}, sort: "-created", x: 1 })).toEqual({ q: "7", sort: "-created" });
});

test("users: no right is named, and none yet leads to the first", async () => {
  answers[`GET ${USERS_PATH}`] = refuse(403, "Forbidden");
  await open("/users");
  await screen.findByText("You may not list users");
  expect(screen.getByText("users.auth.alauda.io")).toBeTruthy();
  expect(screen.getByText("ac get users")).toBeTruthy();
  await screen.findByText("no access");
  users = [];
  answers[`GET ${USERS_PATH}`] = () => Response.json({ metadata: { resourceVersion: "5" }, items: users });
  await userEvent.click(screen.getByRole("button", { name: "Retry" }));
  await screen.findByText("No users yet");
});

test("creating a user: what is missing is said; a made password is shown once and forgotten", async () => {
  answers["POST /auth/v1/users"] = json({ ...person("eve"), password: "Made-once-1" }, 201);
  await open("/users");
  await userEvent.click(await screen.findByRole("button", { name: "Create user" }));
  const form = await dialog();
  await userEvent.type(form.getByLabelText("User name"), "ada");
  await userEvent.click(form.getByRole("button", { name: "Create user" }));
  expect(form.getByText("A user of this name exists already.")).toBeTruthy();
  expect(form.getByText("Enter an e-mail address.")).toBeTruthy();
  await userEvent.clear(form.getByLabelText("User name"));
  await userEvent.type(form.getByLabelText("User name"), "eve");
  expect(form.getByText("ac adm users create eve")).toBeTruthy();
  await userEvent.type(form.getByLabelText("E-mail"), "eve@example.com");
  await userEvent.type(form.getByLabelText(/^Groups/), "dev{Enter}ops, dev");
  await userEvent.click(form.getByRole("button", { name: "Create user" }));
  await screen.findByText("Made-once-1");
  expect(sent[0]?.body).toEqual({ username: "eve", email: "eve@example.com", groups: ["dev", "ops"] });
  await userEvent.click(screen.getByRole("button", { name: "Done" }));
  expect(document.documentElement.outerHTML).not.toContain("Made-once");
  expect(JSON.stringify({ ...localStorage, ...sessionStorage })).not.toContain("Made-once");
});

test("creating a user with a chosen password follows the policy's rules", async () => {
  answers["POST /auth/v1/users"] = json(person("eve"), 201);
  answers[`GET ${POLICY_PATH}`] = json({ metadata: { name: "platform" }, spec: { password: { minLength: 12, maxLength: 64 } } });
  await open("/users");
  await userEvent.click(await screen.findByRole("button", { name: "Create user" }));
  const form = await dialog();
  await userEvent.type(form.getByLabelText("User name"), "eve");
  await userEvent.type(form.getByLabelText("E-mail"), "eve@example.com");
  await userEvent.click(form.getByRole("radio", { name: "Chosen here" }));
  expect(await form.findByText("12 to 64 characters")).toBeTruthy();
  await userEvent.type(form.getByLabelText("New password"), "abc1-xyz");
  await userEvent.click(form.getByRole("button", { name: "Create user" }));
  expect(sent).toEqual([]);
  await userEvent.clear(form.getByLabelText("New password"));
  await userEvent.type(form.getByLabelText("New password"), "abc1-xyz-uvw");
  await userEvent.type(form.getByLabelText("New password, again"), "abc1-xyz-uvw");
  await userEvent.click(form.getByRole("button", { name: "Create user" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(sent[0]?.body.password).toBe("abc1-xyz-uvw");
});

test("the drawer: state with its reason, sessions, commands", async () => {
  answers["GET /auth/v1/sessions"] = json({ items: [{ ...session, id: "s9", username: "wang", client: "ac", clientAddress: "10.1.1.1" }] });
  answers["DELETE /auth/v1/sessions/s9"] = empty;
  await open("/users/md5-wang");
  const drawer = within(await screen.findByRole("dialog", { name: "wang" }));
  expect(drawer.getByText("Too many sign-ins have failed.")).toBeTruthy();
  expect(drawer.getByText("TooManyFailures")).toBeTruthy();
  expect(drawer.getByText(/ac adm users unlock wang/)).toBeTruthy();
  expect(drawer.queryByRole("button", { name: "Reset password…" })).toBeNull();
  await userEvent.click(await drawer.findByRole("button", { name: /^End: ac/ }));
  await waitFor(() => expect(sent[0]?.call).toBe("DELETE /auth/v1/sessions/s9"));
});

test("a user that is not there is said to be missing", async () => {
  await open("/users/nobody");
  await screen.findByText("There is no such user");
});

test.each([
  ["bob", "Enable…", "POST /auth/v1/users/md5-bob/enable", {}],
  ["wang", "Unlock…", "POST /auth/v1/users/md5-wang/unlock", {}],
  ["ada", "Remove second factor…", "DELETE /auth/v1/users/md5-ada/totp", {}],
  ["ada", "End sessions…", "DELETE /auth/v1/sessions?username=ada", {}],
])("%s: %s", async (name, action, call) => {
  answers[call.split("?")[0] ?? ""] = call.startsWith("DELETE") ? empty : json(person(name));
  await open(`/users/md5-${name}`);
  const drawer = within(await screen.findByRole("dialog", { name }));
  await userEvent.click(drawer.getByRole("button", { name: action }));
  const asked = within((await screen.findAllByRole("dialog")).at(-1) as HTMLElement);
  expect(sent).toEqual([]);
  await userEvent.click(asked.getByRole("button", { name: action.replace("…", "") }));
  await waitFor(() => expect(sent[0]?.call).toBe(call));
  await waitFor(() => expect(screen.getAllByRole("dialog").length).toBe(1));
});

test("why a user is not let in is said in words, where it is one of the platform's reasons", async () => {
  users.push(person("gone", { connector_id: "corp" }, { state: "Invalid", reason: "ProviderDisabled", message: "the provider of the user is disabled." }));
  await open("/users");
  const row = (await screen.findByRole("link", { name: "gone" })).closest("tr");
  expect(row?.textContent).toContain("InvalidThe identity provider is disabled");
});

test("the drawer of one's own account tells no command that would lock oneself out", async () => {
  await open("/users/md5-root");
  const drawer = within(await screen.findByRole("dialog", { name: "root" }));
  expect(drawer.getByText(/ac adm users reset-password root/).textContent).not.toContain("disable");
});

test("disabling takes a reason along; a refusal is shown and nothing closes", async () => {
  answers["POST /auth/v1/users/md5-ada/disable"] = refuse(403, "Forbidden");
  await open("/users/md5-ada");
  await userEvent.click(within(await screen.findByRole("dialog", { name: "ada" })).getByRole("button", { name: "Disable…" }));
  const asked = await screen.findByRole("dialog", { name: "Disable ada" });
  await userEvent.type(within(asked).getByLabelText(/^Reason/), "on leave");
  expect(within(asked).getByText("ac adm users disable ada")).toBeTruthy();
  await userEvent.click(within(asked).getByRole("button", { name: "Disable" }));
  await within(asked).findByText("because of Forbidden");
  expect(sent[0]?.body).toEqual({ reason: "on leave" });
});

test("a reset password is shown once and forgotten", async () => {
  answers["POST /auth/v1/users/md5-ada/password"] = json({ password: "Reset-once-1" });
  await open("/users/md5-ada");
  await userEvent.click(within(await screen.findByRole("dialog", { name: "ada" })).getByRole("button", { name: "Reset password…" }));
  const asked = await screen.findByRole("dialog", { name: "Reset the password of ada" });
  await userEvent.click(within(asked).getByRole("button", { name: "Reset password" }));
  await screen.findByText("Reset-once-1");
  await userEvent.click(screen.getByRole("button", { name: "Done" }));
  expect(document.documentElement.outerHTML).not.toContain("Reset-once");
});

test("deleting needs the exact name", async () => {
  answers["DELETE /auth/v1/users/md5-ada"] = json({});
  await open("/users/md5-ada");
  await userEvent.click(within(await screen.findByRole("dialog", { name: "ada" })).getByRole("button", { name: "Delete…" }));
  const asked = within(await screen.findByRole("dialog", { name: "Delete ada" }));
  const submit = asked.getByRole<HTMLButtonElement>("button", { name: "Delete" });
  await userEvent.type(asked.getByLabelText("Type the user's name to confirm:"), "ad");
  expect(submit.disabled).toBe(true);
  await userEvent.type(asked.getByLabelText("Type the user's name to confirm:"), "a");
  await userEvent.click(submit);
  await waitFor(() => expect(location.pathname).toBe("/users"));
});

test("editing sends only what was changed", async () => {
  answers["PATCH /auth/v1/users/md5-ada"] = json(person("ada"));
  await open("/users/md5-ada");
  await userEvent.click(within(await screen.findByRole("dialog", { name: "ada" })).getByRole("button", { name: "Edit…" }));
  const form = within(await screen.findByRole("dialog", { name: "Edit ada" }));
  await userEvent.click(form.getByLabelText("Platform administrator"));
  await userEvent.click(form.getByRole("button", { name: "Save" }));
  await waitFor(() => expect(sent).toEqual([{ call: "PATCH /auth/v1/users/md5-ada", body: { spec: { is_admin: true } }, type: "application/json" }]));
});

test("nobody disables or deletes themselves here", () => {
  const own = actionsFor(userView(person("root")), "root");
  expect(own).not.toContain("disable");
  expect(own).not.toContain("remove");
  expect(actionsFor(userView(person("ada")), "root")).toContain("disable");
});

// threats.md case 58
test("what a provider says of a user is text, cut to length, and of a known shape", () => {
  const evil = userView({ metadata: { name: "x" }, spec: { username: "W".repeat(900), groups: "all" as unknown as string[], account: {} as string }, status: { state: "__proto__", reason: "<script>" } });
  expect(evil.username.length).toBe(161);
  expect(evil.groups).toEqual([]);
  expect(evil.displayName).toBeUndefined();
  expect(evil.state).toBe("Normal");
  const query = { q: "", state: undefined, provider: undefined, sort: "state", descending: false } as const;
  expect(selectUsers([userView(person("a")), userView(person("b", {}, { state: "Locked" }))], query).map(({ username }) => username)).toEqual(["b", "a"]);
});

// ---- groups ----------------------------------------------------------------------------------

test("groups: members are added and taken out, with the version that was read", async () => {
  answers[`PATCH ${GROUPS_PATH}/ops`] = json({});
  await open("/groups/ops");
  const drawer = within(await screen.findByRole("dialog", { name: "Operators" }));
  await userEvent.type(drawer.getByLabelText("Add a member by e-mail"), "bob@example.com{Enter}");
  await waitFor(() => expect(sent.length).toBe(1));
  expect(sent[0]).toEqual({
    call: `PATCH ${GROUPS_PATH}/ops`,
    body: { metadata: { resourceVersion: "7" }, spec: { users: ["ada@example.com", "bob@example.com"] } },
    type: "application/merge-patch+json",
  });
  await userEvent.click(drawer.getByRole("button", { name: "Take ada@example.com out" }));
  await waitFor(() => expect(sent[1]?.body).toEqual({ metadata: { resourceVersion: "7" }, spec: { users: [] } }));
});

test("groups: somebody else was quicker, and that is said", async () => {
  answers[`PATCH ${GROUPS_PATH}/ops`] = refuse(409, "Conflict");
  await open("/groups/ops");
  const drawer = within(await screen.findByRole("dialog", { name: "Operators" }));
  await userEvent.click(drawer.getByRole("button", { name: "Take ada@example.com out" }));
  await drawer.findByText("because of Conflict");
});

test("groups: synced ones are read-only", async () => {
  await open("/groups/corp-dev");
  const drawer = within(await screen.findByRole("dialog", { name: "corp-dev" }));
  expect(drawer.getByText("corp says who is in this group; change it there.")).toBeTruthy();
  expect(drawer.queryByRole("button", { name: /Take|Delete|Add/ })).toBeNull();
});

test("groups: who is in a provider's group stands with the users, and without its provider it can be deleted", async () => {
  const group = { metadata: { name: "ea0f", resourceVersion: "1" }, spec: { displayName: "devs", refConnector: "corp" } };
  const people = [person("ann", { connector_id: "corp", groups: ["devs"] }), person("bob", { connector_id: "okta", groups: ["devs"] })];
  const corp = { metadata: { name: "corp" }, id: "corp" };
  expect(groupViews(people, [corp])(group)).toMatchObject({ members: ["ann@example.com"], deletable: false });
  expect(groupViews(people, [])(group)).toMatchObject({ deletable: true });
  // Whether it is there is not known.
  expect(groupViews(people, undefined)(group)).toMatchObject({ deletable: false });

  users = people;
  groups = [group];
  answers[`GET ${CONNECTORS_PATH}`] = json({ metadata: { resourceVersion: "5" }, items: [] });
  await open("/groups/ea0f");
  const drawer = within(await screen.findByRole("dialog", { name: "devs" }));
  expect(await drawer.findByText("ann@example.com")).toBeTruthy();
  expect(await drawer.findByRole("button", { name: "Delete…" })).toBeTruthy();
  expect(drawer.queryByRole("button", { name: /Take/ })).toBeNull();
});

test("groups: every column sorts, and the address keeps it", async () => {
  await open("/groups?sort=-group");
  const names = await waitFor(() => {
    expect(rows().length).toBeGreaterThan(1);
    return rows();
  });
  await userEvent.click(screen.getByRole("button", { name: "Members" }));
  await waitFor(() => expect(location.search).toBe("?sort=members"));
  expect(screen.getByRole("columnheader", { name: "Members" }).getAttribute("aria-sort")).toBe("ascending");
  const counts = screen.getAllByRole("row").slice(1).map((row) => Number(row.querySelectorAll("td")[0]?.textContent));
  expect(counts).toEqual(counts.toSorted((a, b) => a - b));
  await userEvent.click(screen.getByRole("button", { name: "Group" }));
  await waitFor(() => expect(location.search).toBe(""));
  expect(rows()).toEqual(names.toReversed());
});

test("groups: created with members, deleted by name", async () => {
  answers[`POST ${GROUPS_PATH}`] = json({}, 201);
  answers[`DELETE ${GROUPS_PATH}/ops`] = json({});
  await open("/groups");
  await screen.findByRole("link", { name: "Operators" });
  await userEvent.click(screen.getByRole("button", { name: "Create group" }));
  const form = await dialog();
  await userEvent.type(form.getByLabelText("Name"), "ops");
  await userEvent.click(form.getByRole("button", { name: "Create group" }));
  expect(form.getByText("A group of this name exists already.")).toBeTruthy();
  await userEvent.type(form.getByLabelText("Name"), "-2");
  await userEvent.type(form.getByLabelText(/^Members/), "ada@example.com");
  await userEvent.click(form.getByRole("button", { name: "Create group" }));
  await waitFor(() => expect(sent[0]?.body).toMatchObject({ kind: "Group", metadata: { name: "ops-2" }, spec: { users: ["ada@example.com"] } }));
  await userEvent.click(screen.getByRole("button", { name: "More actions: Operators" }));
  await userEvent.click(await screen.findByRole("menuitem", { name: "Delete…" }));
  const asked = await dialog();
  expect(asked.getByText("1 member loses what the group may do.")).toBeTruthy();
  await userEvent.type(asked.getByLabelText("Type the group's name to confirm:"), "ops");
  await userEvent.click(asked.getByRole("button", { name: "Delete group" }));
  await waitFor(() => expect(sent[1]?.call).toBe(`DELETE ${GROUPS_PATH}/ops`));
});
