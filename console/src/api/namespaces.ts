// Namespaces of a cluster, and what bounds them: requests to the cluster itself, which checks each.
import { request } from "./http";
import { requestAll } from "./pages";
import type { Amounts, Namespace } from "./tenancy";

export const PROJECT_LABEL = "cpaas.io/project";
export const POD_SECURITY_LABEL = "pod-security.kubernetes.io/enforce";
export const POD_SECURITY_LEVELS = ["restricted", "baseline", "privileged"] as const;
export type PodSecurityLevel = (typeof POD_SECURITY_LEVELS)[number];

/** What a quota or a limit range is called that is made along with its namespace. */
export const BOUNDS_NAME = "default";

export interface ResourceQuota {
  metadata: { name: string };
  spec?: { hard?: Record<string, unknown>; scopes?: unknown[]; scopeSelector?: unknown };
  status?: { hard?: Record<string, unknown>; used?: Record<string, unknown> };
}

/** For each container, by resource. */
export interface Limits {
  default: Amounts;
  defaultRequest: Amounts;
  max: Amounts;
}

export interface NamespaceDraft {
  project: string;
  cluster: string;
  name: string;
  displayName: string;
  /** Without one the cluster's own default holds. */
  podSecurity: PodSecurityLevel | undefined;
}

const core = (cluster: string) => `/kubernetes/${encodeURIComponent(cluster)}/api/v1/namespaces`;
const within = (cluster: string, namespace: string) => `${core(cluster)}/${encodeURIComponent(namespace)}`;
const MERGE_PATCH = "application/merge-patch+json";

export const namespaceObject = ({ project, name, displayName, podSecurity }: Omit<NamespaceDraft, "cluster">) => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: {
    name,
    labels: { [PROJECT_LABEL]: project, ...(podSecurity ? { [POD_SECURITY_LABEL]: podSecurity } : {}) },
    ...(displayName ? { annotations: { "cpaas.io/display-name": displayName } } : {}),
  },
});

export const limitRangeObject = (limits: Limits) => ({
  apiVersion: "v1",
  kind: "LimitRange",
  metadata: { name: BOUNDS_NAME },
  spec: { limits: [{ type: "Container", ...Object.fromEntries(Object.entries(limits).filter(([, amounts]) => Object.keys(amounts as Amounts).length > 0)) }] },
});

export const readNamespaces = (cluster: string): Promise<Namespace[]> => requestAll(core(cluster));

export const createNamespace = ({ cluster, ...draft }: NamespaceDraft): Promise<Namespace> => request("POST", core(cluster), { body: namespaceObject(draft) });

export const createQuota = (cluster: string, namespace: string, hard: Amounts): Promise<unknown> =>
  request("POST", `${within(cluster, namespace)}/resourcequotas`, { body: { apiVersion: "v1", kind: "ResourceQuota", metadata: { name: BOUNDS_NAME }, spec: { hard } } });

export const createLimitRange = (cluster: string, namespace: string, limits: Limits): Promise<unknown> => request("POST", `${within(cluster, namespace)}/limitranges`, { body: limitRangeObject(limits) });

export async function readQuotas(cluster: string, namespace: string): Promise<ResourceQuota[]> {
  const { items } = await request<{ items?: ResourceQuota[] }>("GET", `${within(cluster, namespace)}/resourcequotas`);
  return items ?? [];
}

/** With the version that was read: meanwhile it may have come to another project. */
export const importNamespace = (cluster: string, { metadata: { name, resourceVersion } }: Namespace, project: string): Promise<unknown> =>
  request("PATCH", within(cluster, name), { body: { metadata: { resourceVersion, labels: { [PROJECT_LABEL]: project } } }, contentType: MERGE_PATCH });

/** This very namespace, and no later one of its name. */
export const takeOutNamespace = (cluster: string, { metadata: { name, uid } }: Namespace): Promise<unknown> =>
  request("PATCH", within(cluster, name), { body: { metadata: { ...(uid ? { uid } : {}), labels: { [PROJECT_LABEL]: null } } }, contentType: MERGE_PATCH });

export const deleteNamespace = (cluster: string, { metadata: { name, uid } }: Namespace): Promise<unknown> =>
  request("DELETE", within(cluster, name), { body: { apiVersion: "v1", kind: "DeleteOptions", ...(uid ? { preconditions: { uid } } : {}) } });

const RIGHTS_WITHIN_MS = 10_000;

/** Whoever makes a namespace through a project has rights in it only once the project's roles have reached it. */
export async function rightsArrive(cluster: string, namespace: string): Promise<void> {
  const body = { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview", spec: { resourceAttributes: { verb: "create", resource: "resourcequotas", namespace } } };
  const until = performance.now() + RIGHTS_WITHIN_MS;
  for (let pause = 50; performance.now() < until; pause = Math.min(2 * pause, 1_000)) {
    // oxlint-disable no-await-in-loop -- it is asked until they are there
    const review = await request<{ status?: { allowed?: boolean } }>("POST", `/kubernetes/${encodeURIComponent(cluster)}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews`, { body }).catch(() => undefined);
    if (review?.status?.allowed) return;
    await new Promise((resolve) => setTimeout(resolve, pause));
    // oxlint-enable no-await-in-loop
  }
  // When they do not come, the cluster's own refusal says more than could be said here.
}
