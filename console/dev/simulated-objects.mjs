// Objects of the SIMULATION, listed, watched and written through what looks like the API of Kubernetes. All in memory.
import { randomBytes } from "node:crypto";

let revision = 1;
const ago = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();

/** `kinds` by their plural: kind, apiVersion, perhaps a namespace, and `written`, which may complete what is written. */
export function tables(kinds, { json, status, read }) {
  for (const table of Object.values(kinds)) Object.assign(table, { objects: new Map(), watchers: new Set() });
  const send = ({ watchers }, type, object) => {
    for (const watcher of watchers) watcher.write(`${JSON.stringify({ type, object })}\n`);
  };
  function put(plural, name, body, created = 0) {
    const table = kinds[plural];
    const old = table.objects.get(name);
    const { uid, creationTimestamp } = old?.metadata ?? { uid: randomBytes(8).toString("hex"), creationTimestamp: ago(created) };
    const metadata = { ...(table.namespace ? { namespace: table.namespace } : {}), ...old?.metadata, ...body.metadata, uid, creationTimestamp, name, resourceVersion: String(++revision) };
    const object = { apiVersion: table.apiVersion, kind: table.kind, ...body, metadata };
    table.objects.set(name, object);
    send(table, old ? "MODIFIED" : "ADDED", object);
    return object;
  }
  function drop(plural, name) {
    const table = kinds[plural];
    const object = table.objects.get(name);
    if (!table.objects.delete(name)) return false;
    send(table, "DELETED", { ...object, metadata: { ...object.metadata, resourceVersion: String(++revision) } });
    return true;
  }
  setInterval(() => {
    for (const table of Object.values(kinds)) send(table, "BOOKMARK", { kind: table.kind, metadata: { resourceVersion: String(revision) } });
  }, 20_000).unref();

  async function objects(request, response, url) {
    const match = /^\/kubernetes\/global\/apis\/([\w.]+\/\w+)\/(?:namespaces\/([\w-]+)\/)?(\w+)(?:\/([^/]+))?$/.exec(url.pathname);
    const table = match && kinds[match[3]];
    if (!table || table.apiVersion !== match[1] || table.namespace !== match[2]) return false;
    const [, , , plural, escaped] = match;
    const name = escaped && decodeURIComponent(escaped);
    const old = name && table.objects.get(name);
    const written = (body, code) => {
      const object = put(plural, body.metadata?.name ?? name, body);
      table.written?.(object);
      json(response, code, object);
    };
    if (!name && request.method === "POST") {
      const body = await read(request);
      if (table.objects.has(body.metadata.name)) status(response, 409, "AlreadyExists", `${plural} "${body.metadata.name}" already exists`);
      else written(body, 201);
    } else if (!name && url.searchParams.get("watch")) {
      response.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-store" });
      response.flushHeaders();
      table.watchers.add(response);
      response.on("close", () => table.watchers.delete(response));
    } else if (!name) json(response, 200, { kind: `${table.kind}List`, apiVersion: table.apiVersion, metadata: { resourceVersion: String(revision) }, items: [...table.objects.values()] });
    else if (!old && request.method !== "PATCH") status(response, 404, "NotFound", `${plural} "${name}" not found`);
    else if (request.method === "GET") json(response, 200, old);
    else if (request.method === "DELETE") json(response, drop(plural, name) ? 200 : 404, { kind: "Status", status: "Success" });
    else if (request.method === "PATCH") {
      const patch = await read(request);
      const seen = patch.metadata?.resourceVersion;
      if (old && seen !== undefined && seen !== old.metadata.resourceVersion) status(response, 409, "Conflict", `${plural} "${name}": the object has been modified; please apply your changes to the latest version and try again`);
      else written(merged(old ?? {}, patch), 200);
    } else status(response, 405, "MethodNotAllowed", "method not allowed");
    return true;
  }
  return { kinds, put, drop, objects };
}

/** RFC 7386. */
function merged(target, patch) {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result = { ...(typeof target === "object" && target !== null && !Array.isArray(target) ? target : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}
