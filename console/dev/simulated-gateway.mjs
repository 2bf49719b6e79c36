// A SIMULATION of the hub's front door, for work on the console without a hub. Not part of the product.
//
// It serves dist/ under the real content policy and answers the endpoints the
// console calls with invented clusters that change all the time. It checks no
// rights and keeps everything in memory.
//
//   npm run build && npm run simulate          http://127.0.0.1:4480, admin@cpaas.io / simulated
//
// SIMULATED_CLUSTERS=500 makes a large fleet; SIMULATED_CLUSTERS=0 an empty one.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { identity, PASSWORD, USER } from "./simulated-identity.mjs";
import { tenancy } from "./simulated-tenancy.mjs";

const PORT = Number(process.env.SIMULATED_PORT ?? 4480);
const COUNT = Number(process.env.SIMULATED_CLUSTERS ?? 9);
const CLUSTERS = "/kubernetes/global/apis/cluster.x-k8s.io/v1beta1/namespaces/cpaas-system/clusters";
const MATRIX = new URL("../../api/types/src/support/matrix.json", import.meta.url);
const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join("; ");

// ---- an invented fleet ---------------------------------------------------

let revision = 1000;
const clusters = new Map();
const watchers = new Set();
const ago = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();

function condition(type, value, reason, message, since = 86_400 * 3) {
  return { type, status: value, reason, message, lastTransitionTime: ago(since) };
}

function conditions(state) {
  if (state === "unknown") {
    const silent = "No heartbeat for 40 s; the last known state may no longer hold.";
    return [
      condition("Ready", "Unknown", "HeartbeatLost", silent, 312),
      condition("Connected", "False", "TunnelClosed", "The agent closed the connection: read: connection reset by peer", 352),
      condition("APIServerHealthy", "Unknown", "HeartbeatLost", silent, 312),
      condition("VersionSupported", "True", "InRange", "1.32.4 is within >=1.19.0 <1.35.0"),
    ];
  }
  if (state === "unhealthy") {
    return [
      condition("Ready", "False", "APIServerUnhealthy", "The API server answers, but /readyz fails.", 640),
      condition("Connected", "True", "TunnelOpen", "The agent is connected."),
      condition("APIServerHealthy", "False", "ReadyzFailed", "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed", 640),
      condition("VersionSupported", "True", "InRange", "1.33.2 is within >=1.19.0 <1.35.0"),
    ];
  }
  if (state === "pending") {
    return [condition("Ready", "False", "WaitingForAgent", "No agent has connected yet.", 90), condition("Connected", "False", "WaitingForAgent", "No agent has connected yet.", 90)];
  }
  return [
    condition("Ready", "True", "AllChecksPassed", "Connected, healthy and of a supported version."),
    condition("Connected", "True", "TunnelOpen", "The agent is connected."),
    condition("APIServerHealthy", "True", "ReadyzOK", "/readyz answered ok."),
    condition("VersionSupported", "True", "InRange", "The version is within >=1.19.0 <1.35.0"),
  ];
}

function put(name, { displayName, state = "healthy", version = "v1.34.2", nodes = [3, 3], connection = "tunnel", labels = {}, age = 86_400 * 41 }) {
  const old = clusters.get(name);
  const pending = state === "pending";
  const object = {
    apiVersion: "cluster.x-k8s.io/v1beta1",
    kind: "Cluster",
    metadata: {
      name,
      namespace: "cpaas-system",
      uid: `00000000-0000-4000-8000-${String(revision).padStart(12, "0")}`,
      resourceVersion: String(++revision),
      creationTimestamp: ago(age),
      labels: { "cpaas.io/cluster-name": name, ...labels },
      annotations: { "fleet.cpaas.io/connection": connection, ...(displayName ? { "cpaas.io/display-name": displayName } : {}) },
    },
    spec: connection === "direct" ? { controlPlaneEndpoint: { host: "10.20.4.11", port: 6443 } } : {},
    status: {
      phase: pending ? "Pending" : "Provisioned",
      conditions: conditions(state),
      ...(pending ? {} : { kubernetesVersion: version, nodes: { ready: nodes[0], total: nodes[1] }, lastHeartbeatTime: ago(state === "unknown" ? 352 : Math.random() * 9) }),
    },
  };
  clusters.set(name, object);
  send(old ? "MODIFIED" : "ADDED", object);
}

function send(type, object) {
  for (const watcher of watchers) watcher.write(`${JSON.stringify({ type, object })}\n`);
}

function beat(name, change) {
  const old = clusters.get(name);
  if (!old) return;
  const object = structuredClone(old);
  object.metadata.resourceVersion = String(++revision);
  object.status.lastHeartbeatTime = new Date().toISOString();
  change?.(object);
  clusters.set(name, object);
  send("MODIFIED", object);
}

const named = [
  ["global", { displayName: "Platform hub", connection: "in-process", nodes: [3, 3], labels: { "cpaas.io/environment": "prod" } }],
  ["gz-edge-03", { displayName: "Guangzhou edge 03", state: "unknown", version: "v1.32.4", nodes: [4, 4], labels: { "cpaas.io/region": "gz", "cpaas.io/environment": "prod" } }],
  ["gz-prod-01", { displayName: "广州生产一", nodes: [48, 48], labels: { "cpaas.io/region": "gz", "cpaas.io/environment": "prod" } }],
  ["gz-prod-02", { displayName: "广州生产二", nodes: [31, 32], labels: { "cpaas.io/region": "gz", "cpaas.io/environment": "prod" } }],
  ["lab-bare-metal", { connection: "direct", version: "v1.31.9", nodes: [5, 5], labels: { "cpaas.io/environment": "dev" } }],
  ["sh-payments-prod", { displayName: "Shanghai payments", state: "unhealthy", version: "v1.33.2", nodes: [12, 12], labels: { "cpaas.io/region": "sh", "cpaas.io/environment": "prod" } }],
  ["sh-staging", { displayName: "Shanghai staging", version: "v1.34.1", nodes: [6, 6], labels: { "cpaas.io/region": "sh", "cpaas.io/environment": "staging" } }],
  ["sandbox-1", { nodes: [3, 3], labels: { "cpaas.io/environment": "dev", "fleet.cpaas.io/simulated": "true" } }],
  ["warehouse-new", { state: "pending", age: 90 }],
];
for (const [name, spec] of named.slice(0, COUNT)) put(name, spec);
for (let index = named.length; index < COUNT; index++) put(`fleet-${String(index).padStart(4, "0")}`, { version: `v1.${31 + (index % 4)}.${index % 7}`, nodes: [index % 40, index % 40] });

setInterval(() => {
  for (const [name, object] of clusters) {
    const ready = object.status.conditions[0]?.status;
    if (ready === "Unknown" || object.status.phase === "Pending") continue;
    if (Math.random() < Math.min(0.35, 20 / clusters.size)) beat(name);
  }
}, 2_000).unref();
setInterval(() => beat("gz-prod-02", (object) => (object.status.nodes.ready = 30 + (object.status.nodes.ready % 2) + 1)), 7_000).unref();
setInterval(() => send("BOOKMARK", { kind: "Cluster", metadata: { resourceVersion: String(revision) } }), 20_000).unref();

// ---- answers ---------------------------------------------------------------

function json(response, code, body, headers = {}) {
  response.writeHead(code, { "Content-Type": "application/json", "Cache-Control": "no-store", ...headers });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

function status(response, code, reason, message, causes, headers) {
  json(response, code, { kind: "Status", apiVersion: "v1", status: "Failure", message, reason, code, ...(causes ? { details: { causes } } : {}) }, headers);
}

async function read(request) {
  let text = "";
  for await (const part of request) text += part;
  return text === "" ? {} : JSON.parse(text);
}

const invalid = (response, field, message) => status(response, 422, "Invalid", `Cluster is invalid: ${field}: ${message}`, [{ reason: "FieldValueInvalid", field, message }]);

function list(url, response) {
  const items = [...clusters.values()];
  const from = Number(url.searchParams.get("continue") ?? 0);
  const limit = Number(url.searchParams.get("limit") ?? 500);
  const next = from + limit < items.length ? String(from + limit) : undefined;
  json(response, 200, { kind: "ClusterList", apiVersion: "cluster.x-k8s.io/v1beta1", metadata: { resourceVersion: String(revision), ...(next ? { continue: next } : {}) }, items: items.slice(from, from + limit) });
}

function watch(response) {
  response.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-store" });
  response.flushHeaders();
  watchers.add(response);
  response.on("close", () => watchers.delete(response));
}

async function imports(url, request, response) {
  const { name, displayName, kubeconfig, server } = await read(request);
  if (clusters.has(name)) return invalid(response, "name", `a cluster named "${name}" exists already`);
  if (kubeconfig !== undefined) {
    if (!/^kind: Config$/m.test(kubeconfig)) return invalid(response, "kubeconfig", "not a kubeconfig: kind is missing");
    if (/^\s+exec:/m.test(kubeconfig)) return invalid(response, "kubeconfig.users[0].user.exec", "exec plugins are refused");
  }
  await new Promise((resolve) => setTimeout(resolve, 900));
  const host = server ?? kubeconfig.match(/server: (\S+)/)?.[1] ?? "";
  if (!/^https:\/\/(10\.|cluster\.)/.test(host)) return invalid(response, kubeconfig === undefined ? "server" : "kubeconfig", `could not connect to ${host}: connection refused`);
  if (url.searchParams.get("dryRun") !== "false") return json(response, 200, { serverReachable: true, version: "v1.33.5", nodes: 5 });
  put(name, { displayName, version: "v1.33.5", nodes: [5, 5], connection: "direct", age: 0 });
  return json(response, 201, clusters.get(name));
}

async function registrations(request, response) {
  const { name, displayName } = await read(request);
  if (clusters.has(name)) return invalid(response, "name", `a cluster named "${name}" exists already`);
  const token = randomBytes(32).toString("base64url");
  put(name, { displayName, state: "pending", age: 0 });
  setTimeout(() => put(name, { displayName, state: "unhealthy", nodes: [0, 3], age: 5 }), 5_000).unref();
  setTimeout(() => put(name, { displayName, age: 9 }), 8_000).unref();
  json(response, 201, {
    name,
    token,
    expirationTimestamp: new Date(Date.now() + 86_400_000).toISOString(),
    command: `acp agent join https://127.0.0.1:8443 --cluster ${name} --token ${token} --ca-hash sha256:5a1c6f0e2f7c`,
    manifest: `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: cpaas-system\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: agent-registration\n  namespace: cpaas-system\nstringData:\n  cluster: ${name}\n  token: ${token}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: acp-agent\n  namespace: cpaas-system\nspec:\n  replicas: 1\n  template:\n    spec:\n      containers:\n        - name: agent\n          image: acp-agent:dev\n`,
  });
}

function remove(name, response) {
  const object = clusters.get(name);
  if (!object) return status(response, 404, "NotFound", `clusters.cluster.x-k8s.io "${name}" not found`);
  object.metadata.deletionTimestamp = new Date().toISOString();
  beat(name);
  setTimeout(() => {
    const gone = clusters.get(name);
    clusters.delete(name);
    if (gone) send("DELETED", { ...gone, metadata: { ...gone.metadata, resourceVersion: String(++revision) } });
  }, 3_000).unref();
  json(response, 200, { kind: "Status", status: "Success" });
}

const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2" };

async function asset(path, response) {
  const file = normalize(path).replace(/^(\.\.[/\\])+/, "");
  const found = /^\/assets\/[\w.-]+$/.test(file);
  const content = await readFile(join(DIST, found ? file : "index.html")).catch(() => undefined);
  if (!content) return status(response, 404, "NotFound", "not found");
  response.writeHead(200, {
    "Content-Type": found ? (types[extname(file)] ?? "application/octet-stream") : types[".html"],
    "Cache-Control": found ? "public, max-age=31536000, immutable" : "no-cache",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
  });
  response.end(content);
}

const people = identity({ json, status, read });
const rights = tenancy({ json, status, read, clusters });

createServer((request, response) => {
  const url = new URL(request.url, "http://simulated");
  const path = url.pathname;
  const cookie = /__Host-acp-session=([\w-]+)/.exec(request.headers.cookie ?? "")?.[1];
  const session = cookie && people.current(cookie);
  const api = /^\/(acp|auth|kubernetes|platform)\//.test(path);
  const answer = async () => {
    if (!api) return asset(path, response);
    if (request.method !== "GET" && request.headers["x-acp-request"] !== "console") return status(response, 403, "Forbidden", "the request lacks X-ACP-Request");
    if (session && (await rights.answer(request, response, url, { ...session, admin: people.isAdmin(session) }))) return;
    if (path.startsWith("/auth/")) return people.auth(request, response, url, session);
    if (!session) return status(response, 401, "Unauthorized", "Unauthorized");
    if (await people.objects(request, response, url)) return;
    if (path === "/platform/fleet.cpaas.io/v1/imports") return imports(url, request, response);
    if (path === "/platform/fleet.cpaas.io/v1/support-matrix") return json(response, 200, JSON.parse(await readFile(MATRIX, "utf8")));
    if (path === "/platform/fleet.cpaas.io/v1/registrations") return registrations(request, response);
    if (path === CLUSTERS) return url.searchParams.get("watch") ? watch(response) : list(url, response);
    if (path.startsWith(`${CLUSTERS}/`) && request.method === "DELETE") return remove(path.slice(CLUSTERS.length + 1), response);
    return status(response, 404, "NotFound", "the server could not find the requested resource");
  };
  answer().catch((error) => {
    console.error(error);
    if (!response.headersSent) status(response, 500, "InternalError", "simulation failed");
  });
}).listen(PORT, "127.0.0.1", () => console.log(`SIMULATED gateway on http://127.0.0.1:${PORT}  ${USER} / ${PASSWORD}`));
