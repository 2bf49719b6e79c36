// The tenancy half of the SIMULATION: projects, roles, bindings, what is said of rights, and an index of a fleet. All of it
// is invented; nothing is enforced. Whoever is no administrator holds nothing but what the one invented project gives.
import { tables } from "./simulated-objects.mjs";

const DAY = 86_400;
const ago = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();
const READ = ["get", "list", "watch"];
const WRITE = ["create", "update", "patch", "delete", "deletecollection"];
const ALL = [{ apiGroups: ["*"], resources: ["*"], verbs: ["*"] }, { nonResourceURLs: ["*"], verbs: ["*"] }];
const view = { apiGroups: [""], resources: ["configmaps", "events", "namespaces", "persistentvolumeclaims", "pods", "pods/log", "services"], verbs: READ };
const develop = [
  view,
  { apiGroups: [""], resources: ["secrets"], verbs: [...READ, ...WRITE] },
  { apiGroups: ["apps"], resources: ["deployments", "deployments/scale", "statefulsets", "daemonsets"], verbs: [...READ, ...WRITE] },
  { apiGroups: [""], resources: ["pods/exec", "pods/portforward"], verbs: ["get", "create"] },
];
const roleTemplates = [
  { name: "platform-admin-system", level: "platform", en: "Platform Administrator", zh: "平台管理员", about: ["Everything, on every cluster.", "拥有平台及所有集群的全部权限。"], rules: { cluster: ALL } },
  { name: "platform-auditor-system", level: "platform", en: "Platform Auditor", zh: "平台审计人员", about: ["Reads everything on every cluster but the values of Secrets, and may revoke API tokens.", "可查看平台及所有集群的资源（Secret 的内容除外），并可吊销 API 令牌。"], rules: { cluster: [{ apiGroups: ["apps", "batch", "auth.alauda.io"], resources: ["*"], verbs: READ }, { apiGroups: ["auth.alauda.io"], resources: ["accesstokeninfos"], verbs: ["delete"] }] } },
  { name: "cluster-admin-system", level: "cluster", en: "Cluster Administrator", zh: "集群管理员", about: ["Everything, on the clusters it is given for.", "拥有指定集群的全部权限。"], rules: { cluster: ALL } },
  {
    name: "project-admin-system", level: "project", en: "Project Administrator", zh: "项目管理员", about: ["The namespaces of a project, their quotas, and who is in them.", "管理项目的命名空间、配额与成员。"],
    rules: {
      cluster: [{ apiGroups: [""], resources: ["namespaces"], verbs: ["create"] }],
      "project-ns": [{ apiGroups: ["auth.alauda.io"], resources: ["projects"], verbs: [...READ, "update", "patch"] }, { apiGroups: ["auth.alauda.io"], resources: ["userbindings", "groupbindings"], verbs: [...READ, "create", "delete"] }, { apiGroups: ["auth.alauda.io"], resources: ["roletemplates"], resourceNames: ["namespace-admin-system", "namespace-developer-system"], verbs: ["bind"] }],
      "business-ns": [view, { apiGroups: [""], resources: ["resourcequotas", "limitranges"], verbs: WRITE }],
    },
  },
  { name: "namespace-admin-system", level: "namespace", en: "Namespace Administrator", zh: "命名空间管理员", about: ["All that runs in a namespace, and who is in it.", "管理命名空间中的应用、成员与角色。"], rules: { "project-ns": [{ apiGroups: ["auth.alauda.io"], resources: ["projects"], verbs: READ }], "business-ns": [...develop, { apiGroups: ["rbac.authorization.k8s.io"], resources: ["roles", "rolebindings"], verbs: [...READ, ...WRITE] }] } },
  { name: "namespace-developer-system", level: "namespace", en: "Namespace Developer", zh: "命名空间开发人员", about: ["Builds, deploys and looks after applications in a namespace.", "在命名空间中开发、部署和维护应用。"], rules: { "business-ns": develop } },
];

/** Half of an amount, in whole numbers of its unit. */
const half = (amount) => String(amount).replace(/^\d+/, (digits) => String(Math.floor(Number(digits) / 2)));
let spaceCount = 0;

export function tenancy({ json, status, read, clusters }) {
  const names = () => [...clusters.keys()];
  const condition = (type, value, reason, message, since = 3 * DAY) => ({ type, status: value, reason, message, lastTransitionTime: ago(since) });
  const { kinds, put, drop, objects } = tables(
    {
      projects: { kind: "Project", apiVersion: "auth.alauda.io/v1", written: settle },
      userbindings: { kind: "UserBinding", apiVersion: "auth.alauda.io/v1", written: syncBinding },
      groupbindings: { kind: "GroupBinding", apiVersion: "auth.alauda.io/v1" },
      roletemplates: { kind: "RoleTemplate", apiVersion: "auth.alauda.io/v1beta1" },
    },
    { json, status, read },
  );
  const roleOf = (name) => roleTemplates.find((role) => role.name === name);

  // ---- objects ---------------------------------------------------------------------------------------------
  for (const { name, level, en, zh, about: [aboutEn, aboutZh], rules } of roleTemplates) {
    put("roletemplates", name, {
      metadata: { labels: { "auth.cpaas.io/roletemplate.level": level, "auth.cpaas.io/roletemplate.official": "true" }, annotations: { "cpaas.io/display-name": zh, "cpaas.io/display-name.en": en, "cpaas.io/description": aboutZh, "cpaas.io/description.en": aboutEn } },
      spec: { aggregationRules: Object.keys(rules).map((scope) => ({ scope, clusterRoleSelectors: [] })) },
      status: { phase: "Synced", clusterRoles: Object.keys(rules).map((scope) => `cpaas:${name}:${scope}`), syncedClusters: names().filter((cluster) => cluster !== "warehouse-new"), conditions: [condition("Valid", "True", "Valid", "Its rights can be given."), condition("Synced", "True", "Synced", "Its ClusterRoles are in every cluster.")] },
    }, 200 * DAY);
  }
  put("roletemplates", "release-manager", {
    metadata: { labels: { "auth.cpaas.io/roletemplate.level": "namespace" }, annotations: { "cpaas.io/display-name": "发布经理", "cpaas.io/display-name.en": "Release Manager" } },
    spec: { customRules: [{ apiGroups: ["apps"], resources: ["deployments"], verbs: ["patch"] }] },
    status: { phase: "Failed", syncedClusters: ["global"], failedClusters: ["gz-edge-03"], conditions: [condition("Synced", "False", "Unreachable", "gz-edge-03 is not reached.", 400)] },
  }, 9 * DAY);

  const work = (done, failed = {}) => ["ProjectNameSpace", "Quota"].map((type) => ({
    ...condition(type, Object.keys(failed).length > 0 ? "Unknown" : "True", Object.keys(failed).length > 0 ? "Unreachable" : "Done", Object.keys(failed).length > 0 ? `Not reached: ${Object.keys(failed).join(", ")}.` : "", 4_000),
    projectNameSpaceDetail: { successClusters: Object.fromEntries(done.map((cluster) => [cluster, true])), failedClusters: failed },
  }));
  const project = (name, displayName, quotas, more = {}, created = 30 * DAY) => put("projects", name, {
    metadata: { labels: { "cpaas.io/project-name": name }, annotations: { ...(displayName ? { "cpaas.io/display-name": displayName } : {}), ...more.annotations } },
    spec: { clusters: Object.entries(quotas).map(([cluster, quota]) => ({ name: cluster, quota })), ...(more.policy ? { clusterDeletePolicy: more.policy } : {}) },
    status: more.status ?? { phase: "Active", conditions: work(Object.keys(quotas)), clusters: Object.keys(quotas) },
  }, created);
  project("payments", "Payments", { "gz-prod-01": { "requests.cpu": "64", "limits.cpu": "128", "requests.memory": "256Gi", pods: "800", "requests.nvidia.com/gpu": "8" }, "sh-staging": { "requests.cpu": "16", "requests.memory": "64Gi" } }, { annotations: { "cpaas.io/description": "Cards, transfers and settlement." } });
  project("logistics", "物流平台", { "gz-prod-02": {}, "gz-edge-03": { "requests.cpu": "8", pods: "100" } }, { status: { phase: "Degraded", reason: "Not as wanted in gz-edge-03", conditions: work(["gz-prod-02"], { "gz-edge-03": "the cluster is not reached since 10:14" }), clusters: ["gz-edge-03", "gz-prod-02"] } });
  project("shop", undefined, { "gz-prod-01": { "requests.cpu": "4", "requests.memory": "16Gi" } }, { policy: "Delete" }, 2 * DAY);
  project("sandbox", "Sandbox", {}, {}, 300);

  const bind = (name, kind, subject, role, constraint, more = {}, plural = "userbindings") => put(plural, name, { spec: { subjects: [{ kind, name: subject }], roleRef: role, scope: roleOf(role).level, ...(constraint ? { constraint } : {}) }, status: { phase: "Synced", syncedClusters: constraint?.map(({ cluster }) => cluster ?? "gz-prod-01") ?? names(), bindingsCreated: { clusterRoleBindings: 1, roleBindings: 4 }, conditions: [condition("Valid", "True", "Valid", ""), condition("Synced", "True", "Synced", "It is given wherever it says so.")], ...more } }, 20 * DAY);
  bind("root", "User", "admin@cpaas.io", "platform-admin-system");
  bind("auditors", "Group", "audit", "platform-auditor-system");
  bind("payments-admins", "Group", "dev", "project-admin-system", [{ project: "payments" }]);
  bind("wang-payments-dev", "User", "wang.fang@corp.example", "namespace-developer-system", [{ project: "payments", cluster: "gz-prod-01", namespace: "payments-api" }]);
  bind("grace-staging", "User", "grace@example.com", "namespace-admin-system", [{ project: "payments", cluster: "sh-staging", namespace: "payments-api" }]);
  bind("li-logistics", "User", "li.wei@corp.example", "project-admin-system", [{ project: "logistics" }], { phase: "Failed", syncedClusters: ["gz-prod-02"], failedClusters: ["gz-edge-03"], failureDetails: { failureReason: "Unreachable", failureMessage: "gz-edge-03 is not reached; it is tried again." }, conditions: [condition("Synced", "False", "Unreachable", "gz-edge-03 is not reached; it is tried again.", 400)] });
  bind("edge-operators", "Group", "gz-operators", "cluster-admin-system", [{ cluster: "gz-prod-01" }, { cluster: "gz-prod-02" }]);
  bind("shop-owners", "Group", "dev", "project-admin-system", [{ project: "shop", cluster: "gz-prod-01" }], {}, "groupbindings");

  /** What was written takes a moment to be everywhere. */
  function settle({ metadata: { name } }) {
    setTimeout(() => {
      const object = kinds.projects.objects.get(name);
      if (!object || object.metadata.deletionTimestamp) return;
      const wanted = (object.spec?.clusters ?? []).map((cluster) => cluster.name);
      put("projects", name, { ...object, status: { phase: "Active", conditions: work(wanted), clusters: wanted } });
    }, 1_500).unref();
  }
  function syncBinding({ metadata: { name } }) {
    setTimeout(() => {
      const object = kinds.userbindings.objects.get(name);
      if (object) put("userbindings", name, { ...object, status: { phase: "Synced", syncedClusters: object.spec.constraint?.flatMap(({ cluster }) => cluster ?? []) ?? names(), bindingsCreated: { clusterRoleBindings: 1, roleBindings: 2 }, conditions: [condition("Synced", "True", "Synced", "It is given wherever it says so.", 0)] } });
    }, 800).unref();
  }

  // ---- namespaces, by cluster ------------------------------------------------------------------------------
  const spaces = new Map();
  const spacesOf = (cluster) => {
    if (!spaces.has(cluster)) {
      spaces.set(cluster, new Map());
      for (const name of ["default", "kube-system", "cpaas-system", "legacy-billing", "tools"]) addSpace(cluster, { name });
    }
    return spaces.get(cluster);
  };
  function addSpace(cluster, { name, labels = {}, annotations = {} }, created = 30 * DAY) {
    const space = { apiVersion: "v1", kind: "Namespace", metadata: { name, uid: `${cluster}-${name}-${++spaceCount}`, resourceVersion: String(spaceCount), labels, annotations, creationTimestamp: ago(created) }, status: { phase: "Active" } };
    spacesOf(cluster).set(name, { space, quotas: [] });
    return space;
  }
  const projectOf = ({ space }) => space.metadata.labels["cpaas.io/project"];
  const quotaKeys = (name, cluster) => kinds.projects.objects.get(name)?.spec?.clusters?.find((each) => each.name === cluster)?.quota ?? {};
  for (const { metadata: { name }, spec } of kinds.projects.objects.values())
    for (const { name: cluster } of spec.clusters)
      for (const [at, namespace] of [name, `${name}-api`, `${name}-jobs`].entries()) {
        addSpace(cluster, { name: namespace, labels: { "cpaas.io/project": name, ...(at === 1 ? { "pod-security.kubernetes.io/enforce": "restricted" } : {}) } });
        if (at === 1) spacesOf(cluster).get(namespace).quotas.push({ metadata: { name: "default" }, spec: { hard: Object.fromEntries(Object.entries(quotaKeys(name, cluster)).map(([key, hard]) => [key, half(hard)])) } });
      }
  const namespacesOf = (name, cluster) => {
    if (!kinds.projects.objects.get(name)?.spec?.clusters?.some((each) => each.name === cluster)) return undefined;
    if (!spacesOf(cluster).has(name)) addSpace(cluster, { name, labels: { "cpaas.io/project": name } }, 0);
    return [...spacesOf(cluster).values()].filter((each) => projectOf(each) === name).map(({ space }) => space);
  };
  /** What of a key the namespaces of a project were given. */
  const givenOf = (name, cluster, key) => [...spacesOf(cluster).values()].filter((each) => projectOf(each) === name).flatMap(({ quotas }) => quotas).reduce((sum, { spec }) => sum + Number.parseFloat(spec.hard[key] ?? 0), 0);

  // ---- rights ----------------------------------------------------------------------------------------------
  const isAdmin = (session) => session.admin;
  /** Who is no administrator holds what a project's administrator does, in `payments`. */
  const allowed = (session, { verb, resource, namespace, name }) => isAdmin(session) || (resource === "userbindings" && ["create", "delete"].includes(verb) && namespace?.startsWith("payments")) || (resource === "projects" && ["patch", "update"].includes(verb) && name === "payments") || (resource === "namespaces" && (verb === "create" || (name?.startsWith("payments-") && ["patch", "delete"].includes(verb)))) || (resource === "projectnamespaces" && namespace === "payments");
  const changes = (binding) => {
    const { subjects = [], roleRef, constraint = [{}] } = binding?.spec ?? {};
    const role = roleOf(roleRef);
    return subjects.flatMap((subject) => constraint.flatMap(({ project: of, cluster, namespace }) => {
      const places = cluster ? [cluster] : of ? (kinds.projects.objects.get(of)?.spec?.clusters ?? []).map((each) => each.name) : names();
      return places.flatMap((place) => Object.entries(role?.rules ?? {}).map(([scope, rules]) => ({ subject, cluster: place, ...(scope === "cluster" ? {} : { namespace: scope === "project-ns" ? of : (namespace ?? `${of}-api`) }), rules })));
    }));
  };
  function explain(session, query) {
    const get = (name) => query.get(name) ?? "";
    const user = get("user") || session.username;
    const wanted = { verbs: [get("verb")], apiGroups: [get("apiGroup")], resources: [get("resource")] };
    const said = (binding, kind, subject, rule) => ({ userBinding: binding, roleTemplate: kinds.userbindings.objects.get(binding).spec.roleRef, subject: { kind, name: subject }, native: { kind: get("namespace") ? "RoleBinding" : "ClusterRoleBinding", ...(get("namespace") ? { namespace: get("namespace") } : {}), name: `cpaas:${binding}:business-ns` }, role: { kind: "ClusterRole", name: `cpaas:${kinds.userbindings.objects.get(binding).spec.roleRef}:business-ns` }, rule });
    if (user === "admin@cpaas.io") return { allowed: true, grants: [said("root", "User", user, ALL[0])] };
    if (get("namespace").startsWith("payments") && READ.includes(get("verb"))) return { allowed: true, grants: [said("payments-admins", "Group", "dev", view), said("wang-payments-dev", "User", "wang.fang@corp.example", develop[2])] };
    return { allowed: false, missing: { rule: wanted, templates: [{ roleTemplate: "namespace-developer-system", scope: "namespace" }, { roleTemplate: "namespace-admin-system", scope: "namespace" }], grantors: [{ subject: { kind: "User", name: "admin@cpaas.io" }, roleTemplates: ["namespace-developer-system", "namespace-admin-system"], because: { userBinding: "root", roleTemplate: "platform-admin-system" } }, { subject: { kind: "Group", name: "dev" }, roleTemplates: ["namespace-developer-system"], because: { userBinding: "payments-admins", roleTemplate: "project-admin-system" } }] } };
  }

  // ---- an index --------------------------------------------------------------------------------------------
  const found = [];
  const kindsOf = [["apps", "v1", "Deployment", "deployments"], ["", "v1", "Pod", "pods"], ["", "v1", "Service", "services"], ["", "v1", "ConfigMap", "configmaps"], ["batch", "v1", "CronJob", "cronjobs"]];
  for (const cluster of names().filter((name) => name !== "warehouse-new"))
    for (const [at, app] of ["api", "web", "worker", "ledger", "gateway", "scheduler", "mailer", "search"].entries())
      for (const [group, version, kind, resource] of kindsOf)
        for (const owner of ["payments", "logistics", "shop"])
          found.push({ cluster, apiVersion: [group, version].filter(Boolean).join("/"), kind, resource, metadata: { namespace: `${owner}-api`, name: kind === "Pod" ? `${app}-7d9f8c6b5d-${String(at)}x2kq` : app, creationTimestamp: ago((at + 1) * DAY), labels: { app, team: owner, "cpaas.io/project": owner } }, ...(["Deployment", "Pod", "CronJob"].includes(kind) ? { images: [`registry.example/${owner}/${app}:1.${at}.0`, "registry.example/base/proxy:2.4.1"] } : {}) });
  const countsOf = (rows) => kindsOf.map(([group, , , resource]) => ({ group, resource, count: rows.filter((row) => row.resource === resource).length })).filter(({ count }) => count > 0);
  function search(query) {
    const get = (name) => query.get(name) ?? "";
    const words = get("q").toLowerCase().split(/\s+/).filter(Boolean);
    const text = (row) => [row.metadata.name, row.metadata.namespace, ...Object.entries(row.metadata.labels).map((pair) => pair.join("=")), ...(row.images ?? [])].join(" ").toLowerCase();
    const labels = get("label").split(",").filter(Boolean).map((one) => one.split("="));
    const rows = found.filter((row) => words.every((word) => text(row).includes(word)) && (!get("kind") || row.kind.toLowerCase() === get("kind").toLowerCase() || row.resource === get("kind")) && (!get("cluster") || row.cluster === get("cluster")) && (!get("namespace") || row.metadata.namespace === get("namespace")) && (!get("project") || row.metadata.labels["cpaas.io/project"] === get("project")) && (!get("image") || row.images?.some((image) => image.includes(get("image")))) && labels.every(([key, value]) => (value === undefined ? key in row.metadata.labels : row.metadata.labels[key] === value)));
    const [way, by = "name"] = get("sortBy").split(",");
    const value = (row) => row[by] ?? row.metadata[by];
    rows.sort((a, b) => (way === "d" ? -1 : 1) * value(a).localeCompare(value(b)));
    const from = Number(get("continue") || 0);
    const limit = Number(get("limit") || 100);
    return { items: rows.slice(from, from + limit), total: rows.length, ...(from + limit < rows.length ? { continue: String(from + limit) } : {}), counts: countsOf(rows), staleClusters: [{ name: "gz-edge-03", since: ago(352) }] };
  }

  // ---- answers ---------------------------------------------------------------------------------------------
  const missing = (response) => (status(response, 404, "NotFound", "the server could not find the requested resource"), true);
  async function answer(request, response, url, session) {
    const { method } = request;
    const path = url.pathname;
    const said = (body, code = 200) => (json(response, code, body), true);
    const mine = (object) => isAdmin(session) || [object.metadata.name, ...(object.spec?.constraint ?? []).map((place) => place.project)].includes("payments");
    switch (`${method} ${path}`) {
      case "GET /auth/v1/projects": return said({ items: [...kinds.projects.objects.values()].filter(mine) });
      case "GET /auth/v2/userbindings": return said({ items: [...kinds.userbindings.objects.values()].filter(mine) });
      case "POST /auth/v2/userbindings": {
        const body = await read(request);
        const object = put("userbindings", body.metadata.name, { ...body, status: { phase: "Pending" } });
        syncBinding(object);
        return said(object, 201);
      }
      case "POST /auth/v1/rights": {
        const { items } = await read(request);
        return said({ items: items.map((item) => ({ allowed: allowed(session, item) })) });
      }
      case "POST /auth/v1/bindings/preview": {
        const body = await read(request);
        return said({ gains: (body.create ?? []).flatMap(changes), losses: (body.delete ?? []).flatMap((name) => changes(kinds.userbindings.objects.get(name))) });
      }
      case "GET /auth/v1/explain": return said(explain(session, url.searchParams));
      case "GET /auth/v1/who-can": {
        const grant = explain(session, new URLSearchParams([...url.searchParams, ["user", "admin@cpaas.io"]])).grants;
        return said({ users: [{ name: "admin@cpaas.io", grants: grant }, { name: "wang.fang@corp.example" }], groups: [{ name: "dev" }, { name: "cpaas:platform-admins" }], serviceAccounts: [{ namespace: "cpaas-system", name: "deployer" }] });
      }
      case "GET /acp/v1/resources/search": return said(search(url.searchParams));
    }
    const parts = path.slice(1).split("/").map(decodeURIComponent);
    if (path.startsWith("/auth/v1/projects/") && method === "DELETE" && parts.length === 4) {
      const object = kinds.projects.objects.get(parts[3]);
      if (!object) return missing(response);
      put("projects", parts[3], { ...object, metadata: { deletionTimestamp: ago(0) }, status: { ...object.status, phase: "Terminating", reason: "Leaving its clusters" } });
      setTimeout(() => drop("projects", parts[3]), 3_000).unref();
      return said({ kind: "Status", status: "Success" });
    }
    if (path.startsWith("/auth/v1/projects/") && parts[4] === "clusters" && parts[6] === "namespaces") {
      if (parts[5] === "gz-edge-03") return status(response, 503, "ServiceUnavailable", "gz-edge-03 is not reached"), true;
      const items = namespacesOf(parts[3], parts[5]);
      return items ? said({ items }) : missing(response);
    }
    if (path.startsWith("/auth/v2/userbindings/") && method === "DELETE") return drop("userbindings", parts[3]) ? said({ kind: "Status", status: "Success" }) : missing(response);
    const native = /^\/kubernetes\/([^/]+)\/apis\/rbac\.authorization\.k8s\.io\/v1\/clusterroles$/.exec(path);
    if (native) {
      const role = roleOf((url.searchParams.get("labelSelector") ?? "").split("=")[1]);
      return said({ items: Object.entries(role?.rules ?? {}).map(([scope, rules]) => ({ metadata: { name: `cpaas:${role.name}:${scope}` }, rules })) });
    }
    const quota = /^\/kubernetes\/([^/]+)\/apis\/auth\.alauda\.io\/v1\/projectquotas\/([^/]+)$/.exec(path);
    if (quota) {
      const wanted = kinds.projects.objects.get(quota[2])?.spec?.clusters?.find((cluster) => cluster.name === quota[1]);
      if (!wanted) return missing(response);
      if (quota[1] === "gz-edge-03") return status(response, 503, "ServiceUnavailable", "gz-edge-03 is not reached"), true;
      const hard = wanted.quota ?? {};
      const over = quota[2] === "shop";
      const used = Object.fromEntries(Object.entries(hard).map(([key, most]) => [key, over ? "6" : String(most).replace(/^\d+/, String(givenOf(quota[2], quota[1], key)))]));
      return said({ metadata: { name: quota[2] }, spec: { hard }, status: { hard, used, conditions: over ? [condition("Exceeded", "True", "Exceeded", "requests.cpu: 6 is given, 4 is allowed", 900)] : [] } });
    }
    const core = /^\/kubernetes\/([^/]+)\/api\/v1\/namespaces(?:\/([^/]+)(?:\/(resourcequotas|limitranges))?)?$/.exec(path);
    if (core && clusters.has(core[1])) return inCluster(request, response, core, session);
    if (path.endsWith("/selfsubjectaccessreviews")) return said({ status: { allowed: true } }, 201);
    // Who is no administrator may not list them all.
    const listed = /^\/kubernetes\/global\/apis\/auth\.alauda\.io\/v1\/(projects|userbindings|groupbindings)$/.exec(path);
    if (listed && !isAdmin(session)) return status(response, 403, "Forbidden", `${listed[1]}.auth.alauda.io is forbidden: User "${session.username}" cannot list resource "${listed[1]}" in API group "auth.alauda.io" at the cluster scope`), true;
    return objects(request, response, url);
  }
  /** A cluster's own API of namespaces, and what admission there says. */
  async function inCluster(request, response, [, cluster, name, bound], session) {
    const said = (body, code = 200) => (json(response, code, body), true);
    const { method } = request;
    const all = spacesOf(cluster);
    const old = all.get(name);
    if (!name && method === "GET") return isAdmin(session) ? said({ items: [...all.values()].map(({ space }) => space) }) : (status(response, 403, "Forbidden", "namespaces is forbidden"), true);
    if (!name && method === "POST") {
      const { metadata } = await read(request);
      if (all.has(metadata.name)) return status(response, 409, "AlreadyExists", `namespaces "${metadata.name}" already exists`), true;
      return said(addSpace(cluster, metadata, 0), 201);
    }
    if (!old) return status(response, 404, "NotFound", `namespaces "${name}" not found`), true;
    if (bound === "limitranges") return said(await read(request), 201);
    if (bound && method === "GET") return said({ items: old.quotas.map((quota) => ({ ...quota, status: { hard: quota.spec.hard, used: Object.fromEntries(Object.entries(quota.spec.hard).map(([key, hard]) => [key, half(hard)])) } })) });
    if (bound) {
      const quota = await read(request);
      const owner = projectOf(old);
      const over = Object.entries(quotaKeys(owner, cluster)).flatMap(([key, hard]) => {
        const left = Number.parseFloat(hard) - givenOf(owner, cluster, key);
        return Number.parseFloat(quota.spec.hard[key] ?? 0) > left ? [`${key}: ${quota.spec.hard[key]} more asked for, ${left} left`] : [];
      });
      if (over.length > 0) return status(response, 403, "Forbidden", `admission webhook "cpaas-project-quota" denied the request: the quota of project ${owner} in this cluster does not allow it: ${over.join("; ")}`), true;
      old.quotas.push(quota);
      return said(quota, 201);
    }
    if (method === "PATCH") {
      const { metadata } = await read(request);
      old.space.metadata.labels = Object.fromEntries(Object.entries({ ...old.space.metadata.labels, ...metadata.labels }).filter(([, value]) => value !== null));
      return said(old.space);
    }
    if (method === "DELETE") {
      old.space.status.phase = "Terminating";
      setTimeout(() => all.delete(name), 3_000).unref();
      return said(old.space);
    }
    return said(old.space);
  }
  return { answer };
}
