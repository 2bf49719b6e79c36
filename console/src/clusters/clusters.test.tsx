// The pages below a session, against a fetch that answers by path.
import { act, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import { CLUSTERS_PATH, type Cluster } from "../api/cluster";
import Shell from "../shell/shell";
import { nameProblem, serverProblem, toCaData } from "./form";

const MATRIX = { current: "4.3", releases: [{ version: "4.3", thirdParty: { from: "1.19.0", below: "1.35.0" } }, { version: "4.2" }] };

const session = { username: "ada", groups: ["cpaas:platform-admins"], expirationTimestamp: "2030-01-01T00:00:00Z" };
const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });
const invalid = (field: string, message: string) =>
  json({ kind: "Status", code: 422, message: `invalid: ${message}`, details: { causes: [{ field, message }] } }, 422);

let clusters: Cluster[];
let list: () => Response;
let watch: (() => Response) | undefined;
let post: (path: string, body: Record<string, string>) => Response;
let sent: { method: string; path: string; body: Record<string, string> }[];
let stream: ReadableStreamDefaultController<Uint8Array> | undefined;

const ready = (name: string, metadata: Partial<Cluster["metadata"]> = {}): Cluster => ({
  metadata: { name, uid: `u-${name}`, namespace: "cpaas-system", resourceVersion: "1", ...metadata },
  status: {
    kubernetesVersion: "v1.34.2",
    nodes: { total: 3, ready: 3 },
    lastHeartbeatTime: new Date().toISOString(),
    conditions: [
      { type: "Ready", status: "True", reason: "AllChecksPassed", message: "All is well." },
      { type: "Connected", status: "True" },
    ],
  },
});

beforeEach(() => {
  clusters = [ready("global"), ready("sandbox-1")];
  list = () => json({ metadata: { resourceVersion: "5" }, items: clusters });
  sent = [];
  watch = undefined;
  post = () => json({}, 500);
  vi.stubGlobal("fetch", (input: RequestInfo | URL, init?: RequestInit) => {
    const path = String(input);
    const method = init?.method ?? "GET";
    if (method !== "GET") {
      const body = JSON.parse(String(init?.body ?? "{}")) as Record<string, string>;
      sent.push({ method, path, body });
      return Promise.resolve(post(path, body));
    }
    if (path === "/platform/fleet.cpaas.io/v1/support-matrix") return Promise.resolve(json(MATRIX));
    if (!path.startsWith(CLUSTERS_PATH)) return Promise.resolve(json({}, 404));
    if (!path.includes("watch=1")) return Promise.resolve(list());
    if (watch) return Promise.resolve(watch());
    return Promise.resolve(new Response(new ReadableStream<Uint8Array>({ start: (controller) => void (stream = controller) })));
  });
});

async function open(path = "/clusters"): Promise<void> {
  history.replaceState(null, "", path);
  render(<Shell session={session} onSignOut={vi.fn()} />);
  await screen.findByRole("heading", { name: "Clusters" });
}

const event = (type: string, object: unknown) =>
  act(async () => {
    stream?.enqueue(new TextEncoder().encode(`${JSON.stringify({ type, object })}\n`));
    await Promise.resolve();
  });

test("the list shows what the objects say, and follows them", async () => {
  await open();
  const row = (await screen.findByRole("link", { name: "sandbox-1" })).closest("tr");
  expect(row?.textContent).toContain("Healthy");
  expect(row?.textContent).toContain("v1.34.2");
  expect(row?.textContent).toContain("3 of 3 nodes ready");
  await screen.findByText("live");
  await event("MODIFIED", { ...ready("sandbox-1"), status: { conditions: [{ type: "Ready", status: "Unknown", reason: "HeartbeatLost" }] } });
  await waitFor(() => expect(row?.textContent).toContain("UnknownHeartbeatLost"));
  await event("DELETED", ready("sandbox-1"));
  await waitFor(() => expect(screen.queryByRole("link", { name: "sandbox-1" })).toBeNull());
});

// threats.md case 58
test("what a member says of itself is text, never markup or a link", async () => {
  const evil = `<img src=x onerror="alert(1)">`;
  const cluster = ready("sandbox-1", {
    labels: { evil: "<script>alert(1)</script>" },
    annotations: { "cpaas.io/display-name": evil, "cpaas.io/platform-url": "javascript:alert(1)" },
  });
  cluster.status = { ...cluster.status, conditions: [{ type: "Ready", status: "False", reason: evil, message: "<svg onload=alert(1)>" }] };
  clusters = [cluster];
  await open("/clusters/sandbox-1");
  await screen.findAllByText(evil);
  expect(document.querySelector("img, script, svg[onload], [onerror]")).toBeNull();
  for (const link of document.querySelectorAll("a")) expect(link.getAttribute("href")).toMatch(/^[/#]/);
});

test("the drawer has its own address, and the keyboard", async () => {
  await open("/clusters/sandbox-1");
  const drawer = await screen.findByRole("dialog", { name: "sandbox-1" });
  await waitFor(() => expect(document.activeElement).toBe(drawer));
  expect(await within(drawer).findByText("All is well.")).toBeTruthy();
  expect(within(drawer).getByText("ac get nodes --cluster sandbox-1")).toBeTruthy();
  await userEvent.keyboard("{Escape}");
  await waitFor(() => expect(location.pathname).toBe("/clusters"));
});

test("the drawer says how much there is, and how components are", async () => {
  const cluster = ready("sandbox-1");
  const lists = { capacity: { cpu: "8" }, allocatable: { cpu: "7600m" }, allocated: { cpu: "3800m" } };
  const component = { name: "coredns", healthy: false, message: "1 of 2 Pods are available", lastTransitionTime: "2026-02-01T00:00:00Z" };
  cluster.status = { ...cluster.status, resource: lists, components: [component] };
  clusters = [cluster];
  await open("/clusters/sandbox-1");
  const drawer = await screen.findByRole("dialog", { name: "sandbox-1" });
  expect(await within(drawer).findByText("3800m of 7600m")).toBeTruthy();
  expect(within(drawer).getByText("50%")).toBeTruthy();
  expect(within(drawer).getByText("1 of 2 Pods are available")).toBeTruthy();
});

test("a cluster that is not there is said to be missing", async () => {
  await open("/clusters/nowhere");
  expect(await screen.findByText("There is no cluster named nowhere")).toBeTruthy();
});

test("three kinds of empty: none yet, filtered out, not allowed", async () => {
  clusters = [];
  await open();
  await screen.findByText("No clusters yet");
  await event("ADDED", ready("a"));
  await screen.findByRole("link", { name: "a" });
  await userEvent.type(screen.getByRole("searchbox"), "zzz");
  await screen.findByText("No cluster matches");
  expect(location.search).toBe("?q=zzz");
  await userEvent.click(screen.getByRole("button", { name: "Clear filters" }));
  await screen.findByRole("link", { name: "a" });
  expect(location.search).toBe("");
});

test("no right to list names the verb, and the reason verbatim", async () => {
  list = () => json({ kind: "Status", code: 403, message: 'clusters is forbidden: User "ada" cannot list' }, 403);
  await open();
  await screen.findByText("You may not list clusters");
  expect(screen.getByText('clusters is forbidden: User "ada" cannot list')).toBeTruthy();
  expect(screen.getByText("list, watch")).toBeTruthy();
  expect(screen.getByText("clusters.cluster.x-k8s.io")).toBeTruthy();
  await screen.findByText("no access");
  list = () => json({ metadata: { resourceVersion: "5" }, items: clusters });
  await userEvent.click(screen.getByRole("button", { name: "Retry" }));
  await screen.findByRole("link", { name: "sandbox-1" });
  await screen.findByText("live");
});

test("an address of a cluster that cannot be read does not load forever", async () => {
  list = () => json({ kind: "Status", code: 403, message: "clusters is forbidden" }, 403);
  await open("/clusters/sandbox-1");
  expect(await within(await screen.findByRole("dialog")).findByText("sandbox-1 could not be read")).toBeTruthy();
});

test("without the right to watch the list shows, and says that it stands still", async () => {
  watch = () => json({ kind: "Status", code: 403, message: 'User "ada" cannot watch' }, 403);
  await open();
  await screen.findByRole("link", { name: "sandbox-1" });
  expect((await screen.findByText(/Without the right to watch this list/)).textContent).toContain('User "ada" cannot watch');
});

test("import checks first, imports what was checked, and checks again after an edit", async () => {
  post = (path) => (path.includes("dryRun=true") ? json({ serverReachable: true, version: "v1.33.5", nodes: 5 }) : json(ready("edge"), 201));
  await open();
  await userEvent.click(await screen.findByRole("button", { name: "Import" }));
  const dialog = await screen.findByRole("dialog");
  await within(dialog).findByText(/of Kubernetes 1\.19\.0 and newer, below 1\.35\.0/);
  await userEvent.type(within(dialog).getByLabelText("Name"), "edge");
  await userEvent.type(within(dialog).getByLabelText("Kubeconfig"), "kind: Config");
  await userEvent.click(within(dialog).getByRole("button", { name: "Check connectivity" }));
  await within(dialog).findByText("Kubernetes v1.33.5 · 5 nodes");
  await userEvent.type(within(dialog).getByLabelText("Kubeconfig"), "x");
  expect(within(dialog).queryByRole("button", { name: "Import" })).toBeNull();
  await userEvent.click(within(dialog).getByRole("button", { name: "Check connectivity" }));
  await userEvent.click(await within(dialog).findByRole("button", { name: "Import" }));
  await waitFor(() => expect(location.pathname).toBe("/clusters/edge"));
  expect(sent.map(({ path }) => path.split("?")[1])).toEqual(["dryRun=true", "dryRun=true", "dryRun=false"]);
  expect(sent[2]?.body).toEqual({ name: "edge", kubeconfig: "kind: Configx" });
});

test("what the server refuses is shown beside its field", async () => {
  post = () => invalid("kubeconfig.users[0].user.exec", "exec plugins are refused");
  await open();
  await userEvent.click(await screen.findByRole("button", { name: "Import" }));
  const dialog = await screen.findByRole("dialog");
  await userEvent.type(within(dialog).getByLabelText("Name"), "edge");
  const field = within(dialog).getByLabelText("Kubeconfig");
  await userEvent.type(field, "kind: Config");
  await userEvent.click(within(dialog).getByRole("button", { name: "Check connectivity" }));
  await within(dialog).findByText("exec plugins are refused");
  expect(field.getAttribute("aria-invalid")).toBe("true");
});

test("registration shows its command once, and follows the agent", async () => {
  post = (_, body) =>
    json({ name: body.name, token: "once-only", expirationTimestamp: "2030-01-01T00:00:00Z", command: "join --token once-only", manifest: "kind: X" }, 201);
  await open();
  await userEvent.click(await screen.findByRole("button", { name: "Register" }));
  await userEvent.type(await screen.findByLabelText("Name"), "sandbox-1");
  await userEvent.click(screen.getByRole("button", { name: "Create registration" }));
  expect(screen.getByText("A cluster of this name is in the fleet already.")).toBeTruthy();
  expect(sent).toEqual([]);
  await userEvent.clear(screen.getByLabelText("Name"));
  await userEvent.type(screen.getByLabelText("Name"), "edge-9");
  await userEvent.click(screen.getByRole("button", { name: "Create registration" }));
  await screen.findByText("join --token once-only");
  const progress = () => document.querySelector("[data-progress]")?.getAttribute("data-progress");
  expect(progress()).toBe("waiting");
  await event("ADDED", { ...ready("edge-9"), status: { conditions: [{ type: "Connected", status: "True" }] } });
  await waitFor(() => expect(progress()).toBe("connected"));
  await event("MODIFIED", { ...ready("edge-9") });
  await waitFor(() => expect(document.querySelectorAll("[data-progress=ready]").length).toBe(1));
  await userEvent.click(screen.getByRole("button", { name: "Done" }));
  expect(document.body.textContent).not.toContain("once-only");
});

test("removal needs the exact name; the hub cannot be removed", async () => {
  post = () => json({ kind: "Status", status: "Success" });
  await open("/clusters/sandbox-1");
  await userEvent.click(await screen.findByRole("button", { name: "Remove…" }));
  const submit = await screen.findByRole<HTMLButtonElement>("button", { name: "Remove cluster" });
  const typed = screen.getByLabelText("Type the cluster's name to confirm:");
  await userEvent.type(typed, "sandbox");
  expect(submit.disabled).toBe(true);
  await userEvent.type(typed, "-1");
  await userEvent.click(submit);
  await waitFor(() => expect(location.pathname).toBe("/clusters"));
  const body = { name: "sandbox-1", confirm: "sandbox-1", uid: "u-sandbox-1", force: false };
  expect(sent).toEqual([{ method: "POST", path: "/platform/fleet.cpaas.io/v1/removals", body }]);
});

test("a cluster that does not answer is forgotten when that is said", async () => {
  post = () => json({ kind: "Status", status: "Success" });
  await open("/clusters/sandbox-1");
  await userEvent.click(await screen.findByRole("button", { name: "Remove…" }));
  await userEvent.type(await screen.findByLabelText("Type the cluster's name to confirm:"), "sandbox-1");
  expect(document.body.textContent).toContain("ac adm detach sandbox-1");
  await userEvent.click(screen.getByLabelText(/Forget it without asking/));
  expect(document.body.textContent).toContain("ac adm detach sandbox-1 --force");
  await userEvent.click(screen.getByRole("button", { name: "Remove cluster" }));
  await waitFor(() => expect(sent.length).toBe(1));
  expect(sent[0]?.body).toMatchObject({ confirm: "sandbox-1", force: true });
});

test("the hub has no way to remove it", async () => {
  await open("/clusters/global");
  await screen.findByRole("dialog");
  expect(screen.queryByRole("button", { name: "Remove…" })).toBeNull();
});

test("what forms refuse before the server does", () => {
  expect(nameProblem("", [])).toBe("form.required");
  for (const bad of ["A", "-a", "a-", "a.b", "a_b", "a b", "x".repeat(64)]) expect(nameProblem(bad, [])).toBe("form.badName");
  for (const good of ["a", "a-1", "x".repeat(63)]) expect(nameProblem(good, [])).toBeUndefined();
  expect(nameProblem("global", [ready("global")])).toBe("form.taken");
  expect(serverProblem("http://x")).toBe("form.badServer");
  expect(serverProblem("x:6443")).toBe("form.badServer");
  expect(serverProblem("https://x:6443")).toBeUndefined();
  expect(atob(toCaData("-----BEGIN CERTIFICATE-----\nx\n"))).toBe("-----BEGIN CERTIFICATE-----\nx\n");
  expect(toCaData(" QUJD\nREVG ")).toBe("QUJDREVG");
});
