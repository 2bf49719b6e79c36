// Projects, roles, bindings, and what is said of rights, against a fetch that answers by path.
import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import { CLUSTERS_PATH } from "../api/cluster";
import { GROUPS_PATH, USERS_PATH } from "../api/directory";
import { BINDINGS_PATH, GROUP_BINDINGS_PATH, OWN_BINDINGS_PATH, OWN_PROJECTS_PATH, PROJECTS_PATH, ROLES_PATH, type Access, type Binding, type Project, type RoleTemplate } from "../api/tenancy";
import { bindingSearch, fleetSearch, questionSearch } from "../shell/search";
import Shell from "../shell/shell";
import { answerBy, json, listed, refuse, type Answers, type Sent } from "../test-answers";
import { removalAccess } from "./binding-actions";
import { bindingView, isProjectName, projectView, roleView, selectBindings } from "./model";
import { filled, isQuotaKey, wrongAmounts } from "./quota-fields";

const session = { username: "root", groups: [], expirationTimestamp: "2030-01-01T00:00:00Z" };
let answers: Answers;
let sent: Sent[];
let may: (access: Access, cluster: string) => boolean;

const cluster = (name: string, ready = "True") => ({ metadata: { name, annotations: { "fleet.cpaas.io/connection": "tunnel" } }, status: { phase: "Provisioned", kubernetesVersion: "v1.34.2", nodes: { ready: 3, total: 3 }, conditions: ["Ready", "Connected", "APIServerHealthy", "VersionSupported"].map((type) => ({ type, status: ready })) } });
const payments: Project = {
  metadata: { name: "payments", resourceVersion: "7", creationTimestamp: "2026-01-01T00:00:00Z", annotations: { "cpaas.io/display-name": "Payments" } },
  spec: { clusters: [{ name: "east", quota: { "requests.cpu": 8, pods: "100" }, type: "kept" }, { name: "west", quota: {} }] },
  status: {
    phase: "Degraded",
    reason: "Not as wanted in west",
    clusters: ["east", "north", "west"],
    conditions: [{ type: "Quota", status: "Unknown", reason: "Unreachable", lastTransitionTime: "2026-02-01T00:00:00Z", projectNameSpaceDetail: { successClusters: { east: true }, failedClusters: { west: "nobody answers" } } }],
  },
};
const binding = (name: string, spec: Binding["spec"], more: Partial<Binding> = {}): Binding => ({ metadata: { name, resourceVersion: "3", creationTimestamp: "2026-01-01T00:00:00Z" }, ...(spec ? { spec } : {}), status: { phase: "Synced", syncedClusters: ["east"] }, ...more });
const role = (name: string, level: string, english: string): RoleTemplate => ({
  metadata: { name, labels: { "auth.cpaas.io/roletemplate.level": level, "auth.cpaas.io/roletemplate.official": "true" }, annotations: { "cpaas.io/display-name": `${english}（中）`, "cpaas.io/display-name.en": english } },
  status: { phase: "Synced", syncedClusters: ["east"] },
});
const bindings = [
  binding("root", { subjects: [{ kind: "User", name: "root@example.com" }], roleRef: "platform-admin-system", scope: "platform" }),
  binding("pay", { subjects: [{ kind: "Group", name: "payers" }], roleRef: "project-admin-system", scope: "project", constraint: [{ project: "payments" }] }),
  binding("dev", { subjects: [{ kind: "User", name: "ann@example.com" }], roleRef: "namespace-developer-system", scope: "namespace", constraint: [{ project: "payments", cluster: "east", namespace: "payments-api" }] }),
];
const rule = { apiGroups: ["apps"], resources: ["deployments"], verbs: ["get", "list", "watch", "create"] };

beforeEach(() => {
  localStorage.clear();
  may = () => true;
  sent = [];
  answers = {
    [`GET ${PROJECTS_PATH}`]: listed([payments, { metadata: { name: "shop" }, status: { phase: "Active" } }]),
    [`GET ${BINDINGS_PATH}`]: listed(bindings),
    [`GET ${GROUP_BINDINGS_PATH}`]: listed([binding("pay", { subjects: [{ kind: "Group", name: "auditors" }], roleRef: "platform-auditor-system", scope: "platform" })]),
    [`GET ${ROLES_PATH}`]: listed([role("project-admin-system", "project", "Project Administrator"), role("namespace-developer-system", "namespace", "Namespace Developer"), role("platform-admin-system", "platform", "Platform Administrator")]),
    [`GET ${CLUSTERS_PATH}`]: listed([cluster("global"), cluster("east"), cluster("west"), cluster("south"), cluster("lost", "Unknown")]),
    [`GET ${USERS_PATH}`]: listed([]),
    [`GET ${GROUPS_PATH}`]: listed([]),
    "POST /auth/v1/rights": ({ cluster: on, items }) => Response.json({ items: (items as Access[]).map((item) => ({ allowed: may(item, on as string) })) }),
    [`GET ${OWN_PROJECTS_PATH}/payments/clusters/east/namespaces`]: json({ items: [{ metadata: { name: "payments" } }, { metadata: { name: "payments-api" }, status: { phase: "Active" } }] }),
    [`GET ${OWN_PROJECTS_PATH}/payments/clusters/west/namespaces`]: refuse(503, "ServiceUnavailable"),
    "GET /kubernetes/east/apis/auth.alauda.io/v1/projectquotas/payments": json({ status: { used: { "requests.cpu": "10", pods: "20" }, conditions: [{ type: "Exceeded", status: "True", message: "requests.cpu: 10 of 8" }] } }),
    "GET /kubernetes/west/apis/auth.alauda.io/v1/projectquotas/payments": refuse(503, "ServiceUnavailable"),
  };
  answerBy(
    () => answers,
    () => sent,
  );
});

async function open(path: string): Promise<void> {
  history.replaceState(null, "", path);
  render(<Shell session={session} onSignOut={vi.fn()} />);
  await screen.findByRole("heading", { level: 1 });
}

const written = <T,>(at: number): T => (sent.at(at)?.body ?? {}) as T;
const top = async () => within((await screen.findAllByRole("dialog")).at(-1) as HTMLElement);
const drawer = async (name: string) => within(await screen.findByRole("dialog", { name }));
const rows = () => [...document.querySelectorAll("[data-row-link]")].map((link) => link.textContent);
const may403 = (path: string, own: string, items: unknown[]) => {
  answers[`GET ${path}`] = refuse(403, "Forbidden");
  answers[`GET ${own}`] = json({ items });
};
const press = async (within_: { findByRole: typeof screen.findByRole }, name: string | RegExp) => {
  const button = await within_.findByRole("button", { name });
  await waitFor(() => expect(button.getAttribute("aria-disabled")).toBeNull());
  await userEvent.click(button);
};

// ---- projects --------------------------------------------------------------------------------

test("projects: what the objects say, and the state as a filter in the address", async () => {
  await open("/projects");
  const row = (await screen.findByRole("link", { name: "Payments" })).closest("tr");
  for (const words of ["payments", "east, west", "Degraded", "Not as wanted in west"]) expect(row?.textContent).toContain(words);
  await userEvent.click(screen.getByRole("button", { name: /^Active/ }));
  await waitFor(() => expect(rows()).toEqual(["shop"]));
  expect(location.search).toBe("?state=Active");
});

test("projects: who may not list all of them sees those that may be seen", async () => {
  may403(PROJECTS_PATH, OWN_PROJECTS_PATH, [payments]);
  await open("/projects");
  await screen.findByRole("link", { name: "Payments" });
  await screen.findByText(/Shown is what you may see/);
  expect(screen.queryByText(/because of Forbidden/)).toBeNull();
});

test("projects: what may not be done is there, does nothing, and names the right", async () => {
  may = ({ verb }) => verb !== "create";
  await open("/projects");
  const create = await screen.findByRole("button", { name: "Create project" });
  await screen.findByText("create projects.auth.alauda.io");
  expect(create.getAttribute("aria-disabled")).toBe("true");
  expect(document.getElementById(create.getAttribute("aria-describedby") ?? "")?.textContent).toContain("create projects.auth.alauda.io");
  await userEvent.click(create);
  expect(screen.queryByRole("dialog")).toBeNull();
});

test("a project: each cluster by itself, also one that nobody reaches and one that is being left", async () => {
  await open("/projects/payments");
  const detail = await drawer("Payments");
  expect(await detail.findByText("10 of 8")).toBeTruthy();
  expect(detail.getByText("20 of 100")).toBeTruthy();
  expect(detail.getByText(/More was given to namespaces/)).toBeTruthy();
  expect(detail.getByText("nobody answers")).toBeTruthy();
  expect(await detail.findByText("because of ServiceUnavailable")).toBeTruthy();
  expect(detail.getByText(/This cluster was taken out/)).toBeTruthy();
  await userEvent.click(detail.getByRole("button", { name: /^Show namespaces\s*east/ }));
  expect(await detail.findByText("payments-api")).toBeTruthy();
  // Members are those of the project and of its namespaces.
  expect(await detail.findByText("Members (2)")).toBeTruthy();
  for (const who of ["payers", "ann@example.com"]) expect(detail.getByText(who)).toBeTruthy();
  expect(detail.queryByText("root@example.com")).toBeNull();
});

test("a project: a cluster that was added just now has no quota of its own yet, which is no fault", async () => {
  answers["GET /kubernetes/east/apis/auth.alauda.io/v1/projectquotas/payments"] = refuse(404, "NotFound");
  await open("/projects/payments");
  const detail = await drawer("Payments");
  expect(await detail.findByText("– of 8")).toBeTruthy();
  // That of the cluster which does not answer.
  await detail.findByText("because of ServiceUnavailable");
  expect(detail.getAllByRole("alert").length).toBe(1);
});

test("creating a project: names and amounts are looked at first; clusters that are not well cannot be chosen", async () => {
  answers[`POST ${PROJECTS_PATH}`] = json({}, 201);
  await open("/projects");
  await press(screen, "Create project");
  const form = await top();
  await userEvent.type(form.getByLabelText("Name"), "kube-system");
  await userEvent.click(await form.findByLabelText("east"));
  expect(form.getByLabelText<HTMLInputElement>("lost").disabled).toBe(true);
  await userEvent.type(form.getByLabelText("CPU requests"), "many");
  await userEvent.click(form.getByRole("button", { name: "Create project" }));
  expect(form.getByText(/names of the platform and of Kubernetes are taken/)).toBeTruthy();
  expect(form.getByText(/Enter an amount/)).toBeTruthy();
  expect(sent).toEqual([]);
  await userEvent.clear(form.getByLabelText("Name"));
  await userEvent.type(form.getByLabelText("Name"), "billing");
  await userEvent.clear(form.getByLabelText("CPU requests"));
  await userEvent.type(form.getByLabelText("CPU requests"), "500m");
  await userEvent.type(form.getByLabelText("Something else"), "requests.nvidia.com/gpu{Enter}");
  await userEvent.type(form.getByLabelText("requests.nvidia.com/gpu"), "4");
  await userEvent.click(form.getByRole("button", { name: "Create project" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(sent[0]?.body).toMatchObject({ kind: "Project", metadata: { name: "billing" }, spec: { clusters: [{ name: "east", quota: { "requests.cpu": "500m", "requests.nvidia.com/gpu": "4" } }] } });
});

test("quota: the other clusters stay as they are, and the version that was read goes along", async () => {
  answers[`PATCH ${PROJECTS_PATH}/payments`] = json({});
  await open("/projects/payments");
  await press(await drawer("Payments"), /^Edit quota\s*east/);
  const form = await top();
  await userEvent.clear(form.getByLabelText("CPU requests"));
  await userEvent.clear(form.getByLabelText("Pods"));
  await userEvent.type(form.getByLabelText("Pods"), "50");
  await userEvent.click(form.getByRole("button", { name: "Save" }));
  await waitFor(() => expect(sent[0]?.body).toEqual({ metadata: { resourceVersion: "7" }, spec: { clusters: [{ name: "east", quota: { pods: "50" }, type: "kept" }, { name: "west", quota: {} }] } }));
  expect(sent[0]?.type).toBe("application/merge-patch+json");
});

test("clusters are added and taken out; what it is about is shown before", async () => {
  answers[`PATCH ${PROJECTS_PATH}/payments`] = json({});
  await open("/projects/payments");
  await press(await drawer("Payments"), "Add cluster");
  let form = await top();
  await waitFor(() => expect([...form.getByLabelText<HTMLSelectElement>("Cluster").options].map(({ value }) => value)).toEqual(["", "global", "south", "lost"]));
  await userEvent.selectOptions(form.getByLabelText("Cluster"), "south");
  await userEvent.click(form.getByRole("button", { name: "Add cluster" }));
  await waitFor(() => expect(written<Project>(0).spec?.clusters?.map(({ name }) => name)).toEqual(["east", "west", "south"]));
  await press(await drawer("Payments"), /^Take out\s*east/);
  form = await top();
  await form.findByText("payments, payments-api");
  await userEvent.click(form.getByRole("button", { name: "Take out" }));
  await waitFor(() => expect(written<Project>(1).spec?.clusters?.map(({ name }) => name)).toEqual(["west"]));
});

test("deleting a project takes its exact name, and says what goes along", async () => {
  answers[`DELETE ${OWN_PROJECTS_PATH}/payments`] = json({});
  await open("/projects/payments");
  await press(await drawer("Payments"), "Delete…");
  const form = await top();
  expect(form.getByText("2 bindings mean nothing any more.")).toBeTruthy();
  await form.findByText("payments, payments-api");
  expect(await form.findByText("because of ServiceUnavailable")).toBeTruthy();
  await userEvent.click(form.getByRole("radio", { name: "Delete namespaces" }));
  expect(form.getByText(/Its namespaces are deleted/)).toBeTruthy();
  const submit = form.getByRole<HTMLButtonElement>("button", { name: "Delete project" });
  await userEvent.type(form.getByLabelText(/Type the project's name/), "Payments");
  expect(submit.disabled).toBe(true);
  await userEvent.clear(form.getByLabelText(/Type the project's name/));
  await userEvent.type(form.getByLabelText(/Type the project's name/), "payments");
  await userEvent.click(submit);
  await waitFor(() => expect(sent[0]?.call).toBe(`DELETE ${OWN_PROJECTS_PATH}/payments?reclaim=true`));
});

test("what objects say is read with doubt", () => {
  const odd = projectView({ metadata: { name: "x" }, spec: { clusters: "all" as never }, status: { phase: "<b>", conditions: [{ type: 7 } as never], clusters: ["left"] } });
  expect(odd).toMatchObject({ state: "Pending", clusters: [{ name: "left", leaving: true }], conditions: [] });
  expect(["shop", "a".repeat(63)].every(isProjectName)).toBe(true);
  expect(["kube-x", "default", "Shop", "-a", "a".repeat(64), ""].some(isProjectName)).toBe(false);
  expect(["pods", "count/jobs.batch", "requests.nvidia.com/gpu", "hugepages-2Mi"].every(isQuotaKey)).toBe(true);
  expect(["gpus", "count/", "/x", ""].some(isQuotaKey)).toBe(false);
  expect(wrongAmounts({ a: "1", b: "x", c: " " })).toEqual(["b"]);
  expect(filled({ a: " 1 ", c: " " })).toEqual({ a: "1" });
});

// ---- bindings --------------------------------------------------------------------------------

test("bindings: both kinds of objects, found by who, what and where", async () => {
  await open("/bindings");
  await screen.findByRole("link", { name: "auditors" });
  expect(rows()).toEqual(["ann@example.com", "auditors", "payers", "root@example.com"]);
  const row = screen.getByRole("link", { name: "ann@example.com" }).closest("tr");
  await waitFor(() => expect(row?.textContent).toContain("Namespace Developer"));
  expect(row?.textContent).toContain("project payments, cluster east, namespace payments-api");
  await userEvent.selectOptions(screen.getByLabelText("All projects"), "payments");
  await waitFor(() => expect(rows()).toEqual(["ann@example.com", "payers"]));
  await userEvent.selectOptions(screen.getByLabelText("Users and groups"), "Group");
  await waitFor(() => expect(rows()).toEqual(["payers"]));
  expect(location.search).toBe("?project=payments&kind=Group");
  expect(bindingSearch({ level: "evil", kind: "Robot", project: 7, sort: "-role" })).toEqual({ project: "7", sort: "-role" });
});

test("bindings: two of one name are told apart", async () => {
  await open("/bindings/groupbinding:pay");
  const detail = await drawer("auditors");
  answers[`DELETE ${GROUP_BINDINGS_PATH}/pay`] = json({});
  await press(detail, "Take away…");
  const asked = await top();
  expect(asked.getByText(/cannot be shown beforehand/)).toBeTruthy();
  await userEvent.click(asked.getByRole("button", { name: "Take away" }));
  await waitFor(() => expect(sent.at(-1)?.call).toBe(`DELETE ${GROUP_BINDINGS_PATH}/pay`));
});

test("bindings: the labels of old say it where the spec says nothing", () => {
  const old = bindingView({ metadata: { name: "o", labels: { "auth.cpaas.io/role.level": "project", "auth.cpaas.io/role.name": "project-admin-system", "cpaas.io/project": "shop" }, annotations: { "auth.cpaas.io/user.email": "bob@example.com" } } });
  expect(old).toMatchObject({ title: "bob@example.com", level: "project", role: "project-admin-system", places: [{ project: "shop" }], state: "Pending" });
  expect(selectBindings([old], { q: "bob", sort: "place", descending: false, project: "shop" })).toEqual([old]);
  expect(selectBindings([old], { q: "", sort: "subject", descending: false, level: "platform" })).toEqual([]);
});

test("the right to take a role away is held where the role is", () => {
  const [root, pay, dev] = bindings.map((object) => removalAccess(bindingView(object)));
  const access = { verb: "delete", group: "auth.alauda.io", resource: "userbindings" };
  expect(root).toEqual({ access });
  expect(pay).toEqual({ access: { ...access, namespace: "payments" } });
  expect(dev).toEqual({ access: { ...access, namespace: "payments-api" }, cluster: "east" });
});

test("who looks after one namespace may give roles there, and take those away, and no others", async () => {
  may = ({ resource, namespace }, on) => resource === "userbindings" && namespace === "payments-api" && on === "east";
  await open("/projects/payments");
  const detail = await drawer("Payments");
  const add = await detail.findByRole("button", { name: "Add member" });
  await waitFor(() => expect(add.getAttribute("aria-disabled")).toBeNull());
  await waitFor(() => expect(detail.getByRole("button", { name: /Namespace Developer from ann/ }).getAttribute("aria-disabled")).toBeNull());
  const other = detail.getByRole("button", { name: /Project Administrator from payers/ });
  expect(other.getAttribute("aria-disabled")).toBe("true");
  expect(document.getElementById(other.getAttribute("aria-describedby") ?? "")?.textContent).toContain("delete userbindings.auth.alauda.io in namespace payments");
});

test("giving a role: what it gives is shown first, and an edit makes that worthless", async () => {
  answers["POST /auth/v1/bindings/preview"] = ({ create }) => Response.json({ gains: [{ subject: (create as { spec: Binding["spec"] }[])[0]?.spec?.subjects?.[0], cluster: "east", namespace: "payments-api", rules: [rule] }] });
  answers[`POST ${OWN_BINDINGS_PATH}`] = json({}, 201);
  await open("/bindings");
  await press(screen, "Give a role");
  const form = await top();
  await userEvent.click(form.getByRole("button", { name: "Show what it gives" }));
  expect(form.getAllByText("This is needed.").length).toBe(2);
  expect(sent).toEqual([]);
  await userEvent.type(form.getByLabelText("E-mail of the user"), "Bob@Example.com");
  await userEvent.selectOptions(form.getByLabelText("Role"), "namespace-developer-system");
  await userEvent.selectOptions(form.getByLabelText("Project"), "payments");
  await userEvent.selectOptions(form.getByLabelText("Cluster"), "east");
  await waitFor(() => expect(form.getByLabelText<HTMLSelectElement>("Namespace").options.length).toBe(3));
  await userEvent.selectOptions(form.getByLabelText("Namespace"), "payments-api");
  await userEvent.click(form.getByRole("button", { name: "Show what it gives" }));
  await form.findByText("Read, create");
  expect(form.getByText("deployments.apps")).toBeTruthy();
  await userEvent.selectOptions(form.getByLabelText("Namespace"), "payments");
  expect(form.queryByText("Read, create")).toBeNull();
  await userEvent.selectOptions(form.getByLabelText("Namespace"), "payments-api");
  await userEvent.click(form.getByRole("button", { name: "Show what it gives" }));
  await form.findByText("Read, create");
  await userEvent.click(form.getByRole("button", { name: "Give the role" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  const given = sent.at(-1);
  expect(given?.call).toBe(`POST ${OWN_BINDINGS_PATH}`);
  expect(given?.body).toMatchObject({ kind: "UserBinding", spec: { subjects: [{ kind: "User", name: "bob@example.com" }], roleRef: "namespace-developer-system", scope: "namespace", constraint: [{ project: "payments", cluster: "east", namespace: "payments-api" }] } });
  // What was looked at is what is made.
  expect(written<{ create: unknown[] }>(-2).create[0]).toEqual(given?.body);
});

test("a role that the caller may not give: the refusal stands at its field", async () => {
  answers["POST /auth/v1/bindings/preview"] = refuse(422, "Invalid", { details: { causes: [{ field: "spec.roleRef", message: "you hold less than this" }] } });
  await open("/projects/payments");
  await press(await drawer("Payments"), "Add member");
  const form = await top();
  await userEvent.click(form.getByRole("radio", { name: "Group" }));
  await userEvent.type(form.getByLabelText("Name of the group"), "ops");
  await waitFor(() => expect(form.getByLabelText<HTMLSelectElement>("Role").options.length).toBe(3));
  expect(form.queryByRole("option", { name: "Platform Administrator" })).toBeNull();
  await userEvent.selectOptions(form.getByLabelText("Role"), "project-admin-system");
  await userEvent.click(form.getByRole("button", { name: "Show what it gives" }));
  await form.findByText("you hold less than this");
  expect(document.activeElement).toBe(form.getByLabelText("Role"));
  expect(written<{ create: Binding[] }>(0).create[0]?.spec).toMatchObject({ scope: "project", constraint: [{ project: "payments" }], subjects: [{ kind: "Group", name: "ops" }] });
});

test("taking a role away shows what is lost by it", async () => {
  answers["POST /auth/v1/bindings/preview"] = json({ unknownClusters: ["lost"], losses: [{ subject: { kind: "User", name: "ann@example.com" }, cluster: "east", namespace: "payments-api", rules: [rule, rule] }] });
  answers[`DELETE ${OWN_BINDINGS_PATH}/dev`] = json({});
  await open("/bindings/dev");
  await press(await drawer("ann@example.com"), "Take away…");
  const asked = await top();
  await asked.findByText("Read, create");
  expect(asked.getByText(/Nothing is known now of lost/)).toBeTruthy();
  expect(sent[0]?.body).toEqual({ create: [], delete: ["dev"] });
  await userEvent.click(asked.getByRole("button", { name: "Take away" }));
  await waitFor(() => expect(sent[1]?.call).toBe(`DELETE ${OWN_BINDINGS_PATH}/dev`));
});

// ---- roles -----------------------------------------------------------------------------------

test("roles: named in the reader's language, by level", async () => {
  await open("/roles");
  await screen.findByRole("link", { name: "Project Administrator" });
  await userEvent.click(screen.getByRole("button", { name: /^Namespace/ }));
  await waitFor(() => expect(rows()).toEqual(["Namespace Developer"]));
  expect(roleView("zh")(role("x", "project", "A")).title).toBe("A（中）");
  expect(roleView("en")({ metadata: { name: "bare" } })).toMatchObject({ title: "bare", level: undefined, state: "Pending" });
});

test("a role: what it allows in a cluster, in words and as rules", async () => {
  const path = (name: string) => `GET /kubernetes/${name}/apis/rbac.authorization.k8s.io/v1/clusterroles`;
  const asked: string[] = [];
  answers[path("global")] = (_, query) => {
    asked.push(query.get("labelSelector") ?? "");
    return Response.json({ items: [{ metadata: { name: "cpaas:project-admin-system:business-ns" }, rules: [rule, { apiGroups: [""], resources: ["secrets"], verbs: ["get"], resourceNames: ["one"] }, { apiGroups: ["*"], resources: ["*"], verbs: ["*"] }] }] });
  };
  answers[path("east")] = json({ items: [] });
  await open("/roles/project-admin-system");
  const detail = await drawer("Project Administrator");
  await detail.findByText("In the namespaces that people work in");
  expect(asked).toEqual(["auth.cpaas.io/role.relative=project-admin-system"]);
  const said = detail.getAllByRole("listitem").map((item) => item.textContent);
  expect(said).toContain("Read, create: deployments.apps");
  expect(said).toContain("get: secrets (only one)");
  expect(said).toContain("Everything: every kind of object");
  await userEvent.click(detail.getByRole("radio", { name: "Rules" }));
  expect(detail.getByRole("cell", { name: "get, list, watch, create" })).toBeTruthy();
  await userEvent.selectOptions(detail.getByLabelText("Cluster whose roles are shown"), "east");
  await detail.findByText("There is nothing of this role on east.");
});

// ---- rights ----------------------------------------------------------------------------------

test("explain: because of which binding, through which group and role", async () => {
  answers[`GET ${USERS_PATH}`] = listed([{ metadata: { name: "u" }, spec: { email: "ann@example.com", groups: ["payers"] } }]);
  answers[`GET ${GROUPS_PATH}`] = listed([{ metadata: { name: "ops" }, spec: { users: ["ann@example.com"] } }, { metadata: { name: "others" }, spec: { users: [] } }]);
  let asked = new URLSearchParams();
  answers["GET /auth/v1/explain"] = (_, query) => {
    asked = query;
    return Response.json({ allowed: true, grants: [{ userBinding: "pay", roleTemplate: "project-admin-system", subject: { kind: "Group", name: "payers" }, native: { kind: "RoleBinding", namespace: "payments-api", name: "cpaas:pay:business-ns" }, role: { kind: "ClusterRole", name: "cpaas:project-admin-system:business-ns" }, rule }] });
  };
  await open("/explain");
  await userEvent.click(screen.getByRole("button", { name: "Ask" }));
  expect(screen.getAllByText("This is needed.").length).toBe(2);
  await waitFor(() => expect(document.querySelector("option[value='ann@example.com']")).toBeTruthy());
  await userEvent.type(screen.getByRole("combobox", { name: /^User/ }), "ann@example.com");
  // A person's own and those that list the person; they can be edited.
  expect(screen.getByLabelText<HTMLInputElement>(/^Groups/).value).toBe("payers, ops");
  await userEvent.type(screen.getByLabelText(/^Groups/), ", more");
  await userEvent.type(screen.getByLabelText("Verb"), "get");
  await userEvent.type(screen.getByLabelText("Resource"), "deployments.apps/scale");
  await userEvent.type(screen.getByLabelText(/^Namespace/), "payments-api");
  await screen.findByRole("option", { name: "east" });
  await userEvent.selectOptions(screen.getByLabelText("Cluster"), "east");
  await userEvent.click(screen.getByRole("button", { name: "Ask" }));
  await screen.findByText("ann@example.com may do this");
  expect(Object.fromEntries(asked)).toEqual({ cluster: "east", verb: "get", apiGroup: "apps", resource: "deployments", subresource: "scale", namespace: "payments-api", user: "ann@example.com", group: "more" });
  expect(asked.getAll("group")).toEqual(["payers", "ops", "more"]);
  expect(screen.getByText("get deployments/scale.apps in namespace payments-api on cluster east")).toBeTruthy();
  for (const words of ["payers", "RoleBinding payments-api cpaas:pay:business-ns"]) expect(screen.getByText(words)).toBeTruthy();
  expect(screen.getByRole("link", { name: "pay" }).getAttribute("href")).toBe("/bindings/pay");
  await screen.findByRole("link", { name: "Project Administrator" });
  expect(location.search).toContain("user=ann%40example.com");
});

test("explain: what is missing, and who can grant it; who can", async () => {
  answers["GET /auth/v1/explain"] = json({ allowed: false, missing: { rule, templates: [{ roleTemplate: "namespace-developer-system", scope: "namespace" }], grantors: [{ subject: { kind: "Group", name: "payers" }, roleTemplates: ["namespace-developer-system"], because: { userBinding: "pay", roleTemplate: "project-admin-system" } }] } });
  answers["GET /auth/v1/who-can"] = json({ users: [{ name: "root@example.com" }], groups: [], serviceAccounts: [{ namespace: "ops", name: "bot" }] });
  await open("/explain?verb=create&resource=deployments.apps");
  await screen.findByText("root may not do this");
  expect(screen.getByText("payers")).toBeTruthy();
  await screen.findByText("can give Namespace Developer, as Project Administrator");
  expect(screen.getByText("ac auth explain create deployments.apps -A")).toBeTruthy();
  await userEvent.click(screen.getByRole("radio", { name: "Who can" }));
  await userEvent.click(screen.getByRole("button", { name: "Ask" }));
  await screen.findByText("root@example.com");
  expect(screen.getByText("Groups (0)")).toBeTruthy();
  expect(screen.getByText("ops/bot")).toBeTruthy();
  expect(questionSearch({ who: "yes", verb: 1, evil: 2 })).toEqual({ verb: "1" });
});

// ---- search ----------------------------------------------------------------------------------

const found = (name: string) => ({ cluster: "east", apiVersion: "apps/v1", kind: "Deployment", resource: "deployments", metadata: { namespace: "a", name, labels: { app: name } }, images: [`r.example/${name}:1`] });

test("search: asked of the hub, page by page, in the order and with the filters of the address", async () => {
  const asked: Record<string, string>[] = [];
  answers["GET /acp/v1/resources/search"] = (_, query) => {
    asked.push(Object.fromEntries(query));
    const second = query.get("continue") === "next";
    return Response.json({ items: [found(second ? "web" : "api")], total: 101, ...(second ? {} : { continue: "next" }), staleClusters: [{ name: "lost", since: "2026-02-01T10:00:00Z" }] });
  };
  await open("/search?image=r.example");
  await screen.findByText("api");
  expect(asked[0]).toEqual({ image: "r.example", sortBy: "a,name", limit: "100" });
  expect(screen.getByText(/Not heard of now: lost/)).toBeTruthy();
  await userEvent.click(screen.getByRole("button", { name: "Next" }));
  await screen.findByText("web");
  expect(screen.getByText("101–101 of 101")).toBeTruthy();
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Next" }).disabled).toBe(true);
  await userEvent.click(screen.getByRole("button", { name: "Previous" }));
  await screen.findByText("api");
  await userEvent.click(screen.getByRole("button", { name: "Cluster" }));
  await waitFor(() => expect(asked.at(-1)).toMatchObject({ sortBy: "a,cluster" }));
  await userEvent.click(screen.getByRole("button", { name: "Created" }));
  // The youngest come first, as in other lists.
  await waitFor(() => expect(asked.at(-1)).toMatchObject({ sortBy: "d,creationTimestamp" }));
  await userEvent.type(screen.getByLabelText("Words"), "ledger");
  await waitFor(() => expect(asked.at(-1)).toMatchObject({ q: "ledger", image: "r.example" }));
  expect(asked.some(({ q }) => q === "l")).toBe(false);
  expect(fleetSearch({ sort: "-created", q: "", kind: 3, page: 9 })).toEqual({ sort: "-created", kind: "3" });
});

test("search: an object's labels and images, and the command that shows it", async () => {
  answers["GET /acp/v1/resources/search"] = json({ items: [found("api")], total: 1 });
  await open("/search");
  await userEvent.click(await screen.findByRole("button", { name: "api" }));
  const detail = await drawer("api");
  expect(detail.getByText("app=api")).toBeTruthy();
  expect(detail.getByText("ac get deployments.apps api -o yaml -n a --cluster east")).toBeTruthy();
  await userEvent.click(detail.getByRole("button", { name: "Close" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
});

test("search: nothing, and no answer", async () => {
  answers["GET /acp/v1/resources/search"] = json({ items: [], total: 0 });
  await open("/search?q=x");
  await screen.findByText("Nothing matches");
  answers["GET /acp/v1/resources/search"] = refuse(500, "InternalError");
  await userEvent.click(screen.getByRole("button", { name: "Clear filters" }));
  await screen.findByText("The search failed");
  expect(screen.getByText("because of InternalError")).toBeTruthy();
});
