// The namespaces of a project in each of its clusters, against a fetch that answers by path.
import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import { CLUSTERS_PATH, OWN_CLUSTERS_PATH } from "../api/cluster";
import { BINDINGS_PATH, GROUP_BINDINGS_PATH, OWN_PROJECTS_PATH, PROJECTS_PATH, ROLES_PATH, type Access } from "../api/tenancy";
import Shell from "../shell/shell";
import { answerBy, json, listed, refuse, type Answers, type Sent } from "../test-answers";
import { boundProblem, boundsOf, isFree, limitProblems, nameProblem, NO_LIMITS, tightest, usedUp } from "./namespaces";

const session = { username: "ann", groups: [], expirationTimestamp: "2030-01-01T00:00:00Z" };
let answers: Answers;
let sent: Sent[];
let may: (access: Access, cluster: string) => boolean;

const NAMESPACES = "/kubernetes/east/api/v1/namespaces";
const REVIEW = "/kubernetes/east/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const QUOTA = "GET /kubernetes/east/apis/auth.alauda.io/v1/projectquotas/shop";
const shopNamespaces = (cluster: string) => `GET ${OWN_PROJECTS_PATH}/shop/clusters/${cluster}/namespaces`;
const cluster = (name: string, ready = "True") => ({ metadata: { name }, status: { phase: "Provisioned", conditions: ["Ready", "Connected", "APIServerHealthy"].map((type) => ({ type, status: ready })) } });
const namespace = (name: string, labels = {}, more = {}) => ({ metadata: { name, uid: `uid-${name}`, resourceVersion: "8", labels: { "cpaas.io/project": "shop", ...labels }, ...more }, status: { phase: "Active" } });
const free = (name: string, labels = {}) => ({ metadata: { name, resourceVersion: "9", labels }, status: { phase: "Active" } });

beforeEach(() => {
  localStorage.clear();
  may = () => true;
  sent = [];
  answers = {
    [`GET ${PROJECTS_PATH}`]: listed([{ metadata: { name: "shop", resourceVersion: "7" }, spec: { clusters: [{ name: "east", quota: { "limits.cpu": "8", pods: "100" } }, { name: "west", quota: {} }, { name: "lost", quota: {} }] }, status: { phase: "Active" } }]),
    [`GET ${BINDINGS_PATH}`]: listed([{ metadata: { name: "dev" }, spec: { subjects: [{ kind: "User", name: "bob@example.com" }], roleRef: "namespace-developer-system", scope: "namespace", constraint: [{ project: "shop", cluster: "east", namespace: "shop-web" }] } }]),
    [`GET ${GROUP_BINDINGS_PATH}`]: listed([]),
    [`GET ${ROLES_PATH}`]: listed([]),
    [`GET ${CLUSTERS_PATH}`]: listed([cluster("east"), cluster("west"), cluster("lost", "Unknown")]),
    "POST /auth/v1/rights": ({ cluster: on, items }) => Response.json({ items: (items as Access[]).map((item) => ({ allowed: may(item, on as string) })) }),
    [shopNamespaces("east")]: json({ items: [namespace("shop"), namespace("shop-web", { "pod-security.kubernetes.io/enforce": "baseline" }, { annotations: { "cpaas.io/display-name": "The web" } })] }),
    [shopNamespaces("west")]: refuse(503, "ServiceUnavailable"),
    [shopNamespaces("lost")]: json({ items: [namespace("shop-old")], staleClusters: [{ name: "lost", since: "2026-01-01T10:14:00Z" }] }),
    [QUOTA]: json({ spec: { hard: { "limits.cpu": "8", pods: "100" } }, status: { used: { "limits.cpu": "2", pods: "20" } } }),
    [`GET ${NAMESPACES}/shop-web/resourcequotas`]: json({ items: [{ metadata: { name: "default" }, spec: { hard: { "limits.cpu": "2" } }, status: { used: { "limits.cpu": "500m" } } }] }),
    [`GET ${NAMESPACES}`]: listed([free("tools"), free("kube-system"), free("default"), free("bank-a", { "cpaas.io/project": "bank" }), free("other")]),
    [`POST ${NAMESPACES}`]: json({}, 201),
    [`POST ${REVIEW}`]: json({ status: { allowed: true } }, 201),
    [`POST ${NAMESPACES}/shop-api/resourcequotas`]: json({}, 201),
    [`POST ${NAMESPACES}/shop-api/limitranges`]: json({}, 201),
    "GET /acp/v1/resources/search": json({ total: 5, counts: [{ group: "", resource: "namespaces", count: 1 }, { group: "", resource: "secrets", count: 2 }, { group: "apps", resource: "deployments", count: 3 }] }),
  };
  answerBy(
    () => answers,
    () => sent,
  );
});

async function open() {
  history.replaceState(null, "", "/projects/shop");
  render(<Shell session={session} onSignOut={vi.fn()} />);
  return within(await screen.findByRole("dialog", { name: "shop" }));
}
type Place = Awaited<ReturnType<typeof open>>;
const top = async () => within((await screen.findAllByRole("dialog")).at(-1) as HTMLElement);
const closed = () => waitFor(() => expect(document.querySelector("[data-modal]")).toBeNull());
const enabled = async (place: Place, name: string | RegExp) => {
  const button = await place.findByRole("button", { name });
  await waitFor(() => expect(button.getAttribute("aria-disabled")).toBeNull());
  return button;
};
const press = async (place: Place, name: string | RegExp) => userEvent.click(await enabled(place, name));
const missing = (button: HTMLElement) => document.getElementById(button.getAttribute("aria-describedby") ?? "")?.textContent;
const field = async (form: Place, label: string, text: string) => {
  await userEvent.clear(form.getByLabelText(label));
  await userEvent.type(form.getByLabelText(label), text);
};
const toCreate = async () => {
  await press(await open(), /^Create namespace\s*east/);
  const form = await top();
  await form.findByText("6 of 8 left");
  return form;
};
const command = (form: Place) => form.getByRole("region", { name: "The same from a terminal" }).textContent;

async function menuOf(name: string) {
  await userEvent.click(await screen.findByRole("button", { name: `More actions: ${name}` }));
  return within(await screen.findByRole("menu"));
}
const itemOf = async (menu: Place, name: RegExp) => {
  await waitFor(() => expect(menu.getByRole("menuitem", { name }).getAttribute("aria-disabled")).toBeNull());
  return menu.getByRole("menuitem", { name });
};

// ---- what there is ---------------------------------------------------------------------------

test("what a namespace uses, how it is bounded; nothing is done to the project's own", async () => {
  const detail = await open();
  await userEvent.click(await detail.findByRole("button", { name: /^Show namespaces\s*east/ }));
  expect(await detail.findByText("Namespaces (2)")).toBeTruthy();
  expect(await detail.findByText("0.5 of 2")).toBeTruthy();
  for (const words of ["The web", "Pod Security: Baseline", "Active"]) expect(detail.getAllByText(words).length, words).toBeGreaterThan(0);
  expect(detail.queryByRole("button", { name: "More actions: shop" })).toBeNull();
});

test("a cluster that is not reached says so, shows what was known, and changes nothing; the others go on", async () => {
  const detail = await open();
  const create = await detail.findByRole("button", { name: /^Create namespace\s*lost/ });
  await waitFor(() => expect(missing(create)).toMatch(/not well just now \(Unknown\)/));
  await userEvent.click(create);
  expect(document.querySelector("[data-modal]")).toBeNull();
  await userEvent.click(await detail.findByRole("button", { name: /^Show namespaces\s*lost/ }));
  expect(await detail.findByText(/What you see is as of/)).toBeTruthy();
  const menu = await menuOf("shop-old");
  for (const item of menu.getAllByRole("menuitem")) expect(item.getAttribute("aria-disabled")).toBe("true");
  await userEvent.keyboard("{Escape}");
  await userEvent.click(await detail.findByRole("button", { name: /^Show namespaces\s*west/ }));
  expect((await detail.findAllByText("because of ServiceUnavailable")).length).toBeGreaterThan(0);
  await enabled(detail, /^Create namespace\s*east/);
});

test("what may not be done names what is missing: of two rights the one that is", async () => {
  may = ({ verb, resource }) => !(resource === "namespaces" && ["create", "list", "delete"].includes(verb)) && resource !== "projectnamespaces" ? true : resource === "projectnamespaces" && verb === "create";
  const detail = await open();
  const create = await detail.findByRole("button", { name: /^Create namespace\s*east/ });
  await waitFor(() => expect(missing(create)).toContain("create namespaces on cluster east"));
  expect(missing(await detail.findByRole("button", { name: /^Import\s*east/ }))).toContain("list namespaces on cluster east");
  await userEvent.click(await detail.findByRole("button", { name: /^Show namespaces\s*east/ }));
  const menu = await menuOf("shop-web");
  await menu.findByText(/delete projectnamespaces.auth.alauda.io in namespace shop on cluster east/);
  await menu.findByText(/delete namespaces shop-web on cluster east/);
  for (const item of menu.getAllByRole("menuitem")) expect(item.getAttribute("aria-disabled")).toBe("true");
});

test("who may not list clusters is told of those in which they have a role", async () => {
  answers[`GET ${CLUSTERS_PATH}`] = refuse(403, "Forbidden");
  answers[`GET ${OWN_CLUSTERS_PATH}`] = json({ items: [cluster("east"), cluster("lost", "Unknown")] });
  const detail = await open();
  await waitFor(async () => expect(missing(await detail.findByRole("button", { name: /^Create namespace\s*lost/ }))).toMatch(/not well/));
  await enabled(detail, /^Create namespace\s*east/);
});

test("who may not see what is given of the project's quota sees its bounds, and no failure", async () => {
  answers[QUOTA] = refuse(403, "Forbidden");
  const detail = await open();
  expect(await detail.findByText("You may not see how much of it is given.")).toBeTruthy();
  expect(detail.getByText("– of 100")).toBeTruthy();
  expect(detail.queryByText("because of Forbidden")).toBeNull();
});

// ---- create ----------------------------------------------------------------------------------

test("creating one: name, amounts and limits are looked at first, against what is left", async () => {
  const form = await toCreate();
  expect(form.getByText("80 of 100 left")).toBeTruthy();
  await userEvent.click(form.getByRole("button", { name: "Create namespace" }));
  expect(form.getByText("Something has to follow shop-.")).toBeTruthy();
  expect(form.getAllByText(/The project is bounded in this/).length).toBe(2);
  await field(form, "Name", "web");
  await field(form, "CPU limits", "7");
  await field(form, "Pods", "0");
  await field(form, "Default CPU limit", "1");
  await field(form, "Maximum CPU", "500m");
  expect(form.getByText("The name has to begin with shop-.")).toBeTruthy();
  expect(form.getByText("No more than 6 is left of the project's.")).toBeTruthy();
  expect(form.getByText("May not be less than what stands before it.")).toBeTruthy();
  expect(sent).toEqual([]);
  await field(form, "Name", "shop-api");
  await field(form, "CPU limits", "2");
  await field(form, "Maximum CPU", "2");
  await field(form, "Display nameoptional", "The API");
  await userEvent.selectOptions(form.getByLabelText("Pod Security"), "restricted");
  await userEvent.click(form.getByRole("button", { name: "Create namespace" }));
  await closed();
  expect(sent.map(({ call }) => call)).toEqual([`POST ${NAMESPACES}`, `POST ${REVIEW}`, `POST ${NAMESPACES}/shop-api/resourcequotas`, `POST ${NAMESPACES}/shop-api/limitranges`]);
  expect(sent[0]?.body).toMatchObject({ kind: "Namespace", metadata: { name: "shop-api", labels: { "cpaas.io/project": "shop", "pod-security.kubernetes.io/enforce": "restricted" }, annotations: { "cpaas.io/display-name": "The API" } } });
  expect(sent[2]?.body).toMatchObject({ kind: "ResourceQuota", metadata: { name: "default" }, spec: { hard: { "limits.cpu": "2", pods: "0" } } });
  expect(sent[3]?.body).toMatchObject({ kind: "LimitRange", spec: { limits: [{ type: "Container", default: { cpu: "1" }, max: { cpu: "2" } }] } });
});

test("creating one: the command says the same", async () => {
  const form = await toCreate();
  await field(form, "Name", "shop-api");
  await field(form, "CPU limits", "2");
  expect(command(form)).toBe("ac adm new-project-namespace shop-api --project shop --cluster east --quota limits.cpu=2");
  await userEvent.selectOptions(form.getByLabelText("Pod Security"), "baseline");
  expect(command(form)).toContain('"pod-security.kubernetes.io/enforce":"baseline"');
});

test("creating one: where nothing is left of something it is said of what, and nothing is sent", async () => {
  answers[QUOTA] = json({ spec: { hard: { "limits.cpu": "8", pods: "100", services: "0" } }, status: { used: { "limits.cpu": "8000m", pods: "20" } } });
  await press(await open(), /^Create namespace\s*east/);
  const form = await top();
  expect(await form.findByText(/nothing left of CPU limits \(all 8 given\) on this cluster/)).toBeTruthy();
  expect(form.getByRole<HTMLButtonElement>("button", { name: "Create namespace" }).disabled).toBe(true);
  // Another cluster of the project has no bounds.
  await userEvent.selectOptions(form.getByLabelText("Cluster"), "west");
  await waitFor(() => expect(form.queryByText(/nothing left/)).toBeNull());
  expect(form.getByRole<HTMLOptionElement>("option", { name: /^lost/ }).disabled).toBe(true);
});

test("creating one: less strictness takes a right, and the strictest level none", async () => {
  may = ({ resource }) => resource !== "namespacesecurity";
  const form = await toCreate();
  await form.findByText(/update namespacesecurity.auth.alauda.io on cluster east/);
  expect(form.getByRole<HTMLOptionElement>("option", { name: "Baseline" }).disabled).toBe(true);
  expect(form.getByRole<HTMLOptionElement>("option", { name: "Restricted" }).disabled).toBe(false);
});

test("creating one: a name that is taken is said at the field, another refusal in the cluster's words; what was typed stays", async () => {
  answers[`POST ${NAMESPACES}`] = [refuse(409, "AlreadyExists"), refuse(403, "Forbidden", { message: "admission: you may not put namespaces into project shop" })];
  const form = await toCreate();
  await field(form, "Name", "shop-api");
  await field(form, "CPU limits", "1");
  await field(form, "Pods", "1");
  await userEvent.click(form.getByRole("button", { name: "Create namespace" }));
  expect(await form.findByText("A namespace of this name is on the cluster already.")).toBeTruthy();
  expect(form.getByLabelText("Name").getAttribute("aria-invalid")).toBe("true");
  await userEvent.click(form.getByRole("button", { name: "Create namespace" }));
  expect(await form.findByText(/you may not put namespaces into project shop/)).toBeTruthy();
  expect(form.getByLabelText<HTMLInputElement>("CPU limits").value).toBe("1");
});

test("made, but its quota was refused: says exactly that, and tries only what is missing again", async () => {
  answers[`POST ${NAMESPACES}/shop-api/resourcequotas`] = [refuse(403, "Forbidden", { message: "limits.cpu: 6 more asked for, 1 left" }), json({}, 201)];
  const form = await toCreate();
  await field(form, "Name", "shop-api");
  await field(form, "CPU limits", "6");
  await field(form, "Pods", "1");
  await field(form, "Default CPU limit", "1");
  await userEvent.click(form.getByRole("button", { name: "Create namespace" }));
  expect(await form.findByText(/Namespace shop-api was created. Not all/)).toBeTruthy();
  expect(form.getByText("Its quota: limits.cpu: 6 more asked for, 1 left")).toBeTruthy();
  expect(form.queryByText(/^Its limits/)).toBeNull();
  expect(form.getByLabelText("Name").closest("fieldset")?.disabled).toBe(true);
  expect(form.getByRole("button", { name: "Leave it so" })).toBeTruthy();
  await field(form, "CPU limits", "1");
  sent = [];
  await userEvent.click(form.getByRole("button", { name: "Try again" }));
  await closed();
  expect(sent.map(({ call }) => call)).toEqual([`POST ${REVIEW}`, `POST ${NAMESPACES}/shop-api/resourcequotas`]);
  expect(sent[1]?.body).toMatchObject({ spec: { hard: { "limits.cpu": "1", pods: "1" } } });
});

test("rights in a new namespace are waited for before its quota is made", async () => {
  answers[`POST ${REVIEW}`] = [json({ status: { allowed: false } }), refuse(500, "InternalError"), json({ status: { allowed: true } })];
  const form = await toCreate();
  await field(form, "Name", "shop-api");
  await field(form, "CPU limits", "1");
  await field(form, "Pods", "1");
  await userEvent.click(form.getByRole("button", { name: "Create namespace" }));
  await closed();
  expect(sent.map(({ call }) => call.split("/").at(-1))).toEqual(["namespaces", "selfsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectaccessreviews", "resourcequotas"]);
});

// ---- import, take out, delete ------------------------------------------------------------------

test("importing: only those of no project and none of the system; with the version that was read", async () => {
  may = ({ resource, name }) => !(resource === "namespaces" && name === "other");
  answers[`PATCH ${NAMESPACES}/tools`] = [refuse(409, "Conflict", { message: "the object has been modified" }), json({})];
  await press(await open(), /^Import\s*east/);
  const form = await top();
  const choice = await form.findByLabelText<HTMLSelectElement>("Namespace");
  await waitFor(() => expect([...choice.options].map(({ text, disabled }) => [text, disabled])).toEqual([["Choose…", false], ["tools", false], ["other (you may not change it)", true]]));
  await userEvent.click(form.getByRole("button", { name: "Import" }));
  expect(form.getByText("This is needed.")).toBeTruthy();
  await userEvent.selectOptions(choice, "tools");
  expect(command(form)).toBe("ac label ns tools cpaas.io/project=shop --cluster east");
  await userEvent.click(form.getByRole("button", { name: "Import" }));
  expect(await form.findByText("the object has been modified")).toBeTruthy();
  expect(choice.value).toBe("tools");
  await userEvent.click(form.getByRole("button", { name: "Import" }));
  await closed();
  expect(sent[1]).toEqual({ call: `PATCH ${NAMESPACES}/tools`, body: { metadata: { resourceVersion: "9", labels: { "cpaas.io/project": "shop" } } }, type: "application/merge-patch+json" });
});

test("taking out drops the label alone, and says whose roles end", async () => {
  answers[`PATCH ${NAMESPACES}/shop-web`] = json({});
  const detail = await open();
  await userEvent.click(await detail.findByRole("button", { name: /^Show namespaces\s*east/ }));
  await userEvent.click(await itemOf(await menuOf("shop-web"), /^Take out/));
  const form = await top();
  expect(form.getByText("The roles of the project end there, for all its members.")).toBeTruthy();
  expect(form.getByText("1 binding means nothing any more.")).toBeTruthy();
  expect(command(form)).toBe("ac label ns shop-web cpaas.io/project- --cluster east");
  await userEvent.click(form.getByRole("button", { name: "Take out" }));
  await waitFor(() => expect(sent).toEqual([{ call: `PATCH ${NAMESPACES}/shop-web`, body: { metadata: { uid: "uid-shop-web", labels: { "cpaas.io/project": null } } }, type: "application/merge-patch+json" }]));
});

test("deleting takes the exact name, says what dies, and is of this very namespace", async () => {
  answers[`DELETE ${NAMESPACES}/shop-web`] = json({});
  const detail = await open();
  await userEvent.click(await detail.findByRole("button", { name: /^Show namespaces\s*east/ }));
  await userEvent.click(await itemOf(await menuOf("shop-web"), /^Delete/));
  const form = await top();
  expect((await form.findAllByRole("listitem")).map(({ textContent }) => textContent)).toEqual(expect.arrayContaining(["deployments.apps3", "secrets2"]));
  expect(form.queryByText("namespaces")).toBeNull();
  const submit = form.getByRole<HTMLButtonElement>("button", { name: "Delete namespace" });
  await userEvent.type(form.getByLabelText(/Type the namespace's name/), "shop");
  expect(submit.disabled).toBe(true);
  await userEvent.type(form.getByLabelText(/Type the namespace's name/), "-web");
  await userEvent.click(submit);
  await waitFor(() => expect(sent[0]).toMatchObject({ call: `DELETE ${NAMESPACES}/shop-web`, body: { preconditions: { uid: "uid-shop-web" } } }));
});

// ---- what is decided ---------------------------------------------------------------------------

test("names begin with the project's, and are labels", () => {
  expect(["shop-", "", "web", "shop-web", "shop-Web", `shop-${"a".repeat(58)}`, `shop-${"a".repeat(59)}`].map((name) => nameProblem(name, "shop"))).toEqual(["required", "required", "prefix", undefined, "bad", undefined, "bad"]);
});

test("of several quotas that which leaves least counts, and none that is for some Pods only", () => {
  const quota = (hard: string, used: string, more = {}) => ({ metadata: { name: "q" }, spec: { hard: { pods: hard }, ...more }, status: { used: { pods: used } } });
  expect(tightest([quota("10", "1"), quota("8", "2"), quota("1", "1", { scopes: ["BestEffort"] })])).toEqual({ pods: { hard: "8", used: "2" } });
  expect(tightest([{ metadata: { name: "new" }, spec: { hard: { pods: 5 } } }])).toEqual({ pods: { hard: "5", used: undefined } });
});

test("what a project may have none of is not used up; what is not known is not refused", () => {
  const bounds = boundsOf({ cpu: "1", pods: "2", gpu: "0" }, { cpu: "1000m" });
  expect(usedUp(bounds)).toEqual(["cpu"]);
  expect(usedUp(boundsOf({ cpu: "1" }, undefined))).toEqual([]);
  expect([boundProblem("", { hard: "1", used: "0" }), boundProblem("2", { hard: "1", used: undefined }), boundProblem("1", { hard: "1", used: "500m" }), boundProblem("0", { hard: "1", used: "2" })]).toEqual(["missing", undefined, "tooMuch", undefined]);
});

test("what may be imported, and limits in their order", () => {
  const going = { ...free("x"), metadata: { ...free("x").metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
  expect([free("a"), free("kube-node-lease"), free("cpaas-system"), free("b", { "cpaas.io/project": "p" }), free("c", { "cpaas.io/project": "" }), going].map(isFree)).toEqual([true, false, false, false, true, false]);
  expect([...limitProblems({ ...NO_LIMITS, defaultRequest: { cpu: "2" }, default: { cpu: "1", memory: "much" }, max: { cpu: "3" } })]).toEqual([["default.cpu", "order"], ["default.memory", "wrong"]]);
});
