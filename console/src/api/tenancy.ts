// Who owns what, and who may do what: objects of the hub, and what the hub says of rights in all clusters.
import type { ClusterStatus } from "./generated/cluster";
import type { ProjectSpec, ProjectStatus } from "./generated/project";
import type { ProjectQuotaSpec, ProjectQuotaStatus } from "./generated/projectquota";
import type { RoleTemplateSpec, RoleTemplateStatus } from "./generated/roletemplate";
import type { UserBindingSpec, UserBindingStatus } from "./generated/userbinding";
import { request } from "./http";
import { requestWhole } from "./pages";
import { ApiError } from "./status";

const AUTH = "/kubernetes/global/apis/auth.alauda.io";
export const PROJECTS_PATH = `${AUTH}/v1/projects`;
export const BINDINGS_PATH = `${AUTH}/v1/userbindings`;
export const GROUP_BINDINGS_PATH = `${AUTH}/v1/groupbindings`;
export const ROLES_PATH = `${AUTH}/v1beta1/roletemplates`;
/** What the caller may see of them. */
export const OWN_PROJECTS_PATH = "/auth/v1/projects";
export const OWN_BINDINGS_PATH = "/auth/v2/userbindings";

interface Metadata {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

/** Only these two are relied on. */
export type TenancyCondition = { type: string; status: string } & Partial<NonNullable<ClusterStatus["conditions"]>[number]>;

export interface Project {
  metadata: Metadata;
  spec?: ProjectSpec;
  status?: ProjectStatus;
}

export interface ProjectQuota {
  metadata: Metadata;
  spec?: ProjectQuotaSpec;
  status?: ProjectQuotaStatus;
}

export interface Binding {
  apiVersion?: string;
  kind?: string;
  metadata: Metadata;
  spec?: UserBindingSpec;
  status?: UserBindingStatus;
}

export interface RoleTemplate {
  metadata: Metadata;
  spec?: RoleTemplateSpec;
  status?: RoleTemplateStatus;
}

/** RBAC's. */
export interface PolicyRule {
  verbs?: string[];
  apiGroups?: string[];
  resources?: string[];
  resourceNames?: string[];
  nonResourceURLs?: string[];
}

export interface ClusterRole {
  metadata: Metadata;
  rules?: PolicyRule[] | null;
}

export interface Namespace {
  metadata: Metadata;
  status?: { phase?: string };
}

// ---- projects ------------------------------------------------------------------------------

export type Amounts = Record<string, string>;
export type ReclaimPolicy = "Retain" | "Delete";

export interface ProjectDraft {
  name: string;
  displayName: string;
  description: string;
  clusters: readonly { name: string; quota: Amounts }[];
}

const MERGE_PATCH = "application/merge-patch+json";
const projectPath = (name: string) => `${PROJECTS_PATH}/${encodeURIComponent(name)}`;

export function createProject({ name, displayName, description, clusters }: ProjectDraft): Promise<Project> {
  const annotations = { ...(displayName ? { "cpaas.io/display-name": displayName } : {}), ...(description ? { "cpaas.io/description": description } : {}) };
  return request("POST", PROJECTS_PATH, {
    body: { apiVersion: "auth.alauda.io/v1", kind: "Project", metadata: { name, labels: { "cpaas.io/project-name": name }, annotations }, spec: { clusters } },
  });
}

/** With the version that was read: the list of clusters is written as a whole, and two must not undo each other. */
export function patchProjectClusters({ metadata: { name, resourceVersion } }: Project, clusters: NonNullable<ProjectSpec["clusters"]>): Promise<Project> {
  return request("PATCH", projectPath(name), { body: { metadata: { resourceVersion }, spec: { clusters } }, contentType: MERGE_PATCH });
}

/** Without `reclaim` the project's own policy decides what becomes of its namespaces; another takes a right of its own. */
export function deleteProject(name: string, reclaim?: ReclaimPolicy): Promise<unknown> {
  const query = reclaim === undefined ? "" : `?${new URLSearchParams({ reclaim: String(reclaim === "Delete") })}`;
  return request("DELETE", `${OWN_PROJECTS_PATH}/${encodeURIComponent(name)}${query}`);
}

/** A cluster that was added just now has none yet. */
export async function readProjectQuota(cluster: string, project: string): Promise<ProjectQuota | null> {
  try {
    return await request("GET", `/kubernetes/${encodeURIComponent(cluster)}/apis/auth.alauda.io/v1/projectquotas/${encodeURIComponent(project)}`);
  } catch (error) {
    if (error instanceof ApiError && error.code === 404) return null;
    throw error;
  }
}

export interface ProjectNamespaces {
  items: Namespace[];
  /** Where the cluster is not reached it is as it was then. */
  staleClusters?: { name: string; since?: string }[];
}

export const readProjectNamespaces = (project: string, cluster: string): Promise<ProjectNamespaces> =>
  requestWhole<Namespace, ProjectNamespaces>(`${OWN_PROJECTS_PATH}/${encodeURIComponent(project)}/clusters/${encodeURIComponent(cluster)}/namespaces`);

// ---- bindings ------------------------------------------------------------------------------

export type BindingDraft = { metadata: { name: string }; spec: UserBindingSpec };

const userBinding = (draft: BindingDraft) => ({ apiVersion: "auth.alauda.io/v1", kind: "UserBinding", ...draft });

export const createBinding = (draft: BindingDraft): Promise<Binding> => request("POST", OWN_BINDINGS_PATH, { body: userBinding(draft) });

export const deleteBinding = ({ kind, metadata: { name } }: Binding): Promise<unknown> =>
  request("DELETE", `${kind === "GroupBinding" ? GROUP_BINDINGS_PATH : OWN_BINDINGS_PATH}/${encodeURIComponent(name)}`);

export interface Subject {
  kind: string;
  name: string;
  namespace?: string;
}

/** What a subject gains or loses in one place; without a namespace in the whole cluster. */
export interface RightsChange {
  subject: Subject;
  cluster: string;
  namespace?: string;
  rules: PolicyRule[];
}

export interface Preview {
  gains: RightsChange[];
  losses: RightsChange[];
  /** Concerned, and nothing is known of them. */
  unknownClusters: string[];
  /** There is more than is told. */
  truncated: boolean;
}

export async function previewBindings(change: { create?: BindingDraft[]; delete?: string[] }): Promise<Preview> {
  const body = { create: (change.create ?? []).map(userBinding), delete: change.delete ?? [] };
  const { gains = [], losses = [], unknownClusters = [], truncated = false } = await request<Partial<Preview>>("POST", "/auth/v1/bindings/preview", { body });
  return { gains, losses, unknownClusters, truncated };
}

// ---- roles ---------------------------------------------------------------------------------

export async function readClusterRoles(cluster: string, template: string): Promise<ClusterRole[]> {
  const query = new URLSearchParams({ labelSelector: `auth.cpaas.io/role.relative=${template}` });
  const { items } = await request<{ items?: ClusterRole[] }>("GET", `/kubernetes/${encodeURIComponent(cluster)}/apis/rbac.authorization.k8s.io/v1/clusterroles?${query}`);
  return items ?? [];
}

// ---- rights --------------------------------------------------------------------------------

export interface Access {
  verb: string;
  group: string;
  resource: string;
  subresource?: string;
  namespace?: string;
  name?: string;
}

export async function checkRights(cluster: string, items: readonly Access[]): Promise<boolean[]> {
  const answer = await request<{ items?: { allowed?: boolean }[] }>("POST", "/auth/v1/rights", { body: { cluster, items } });
  return items.map((_, at) => answer.items?.[at]?.allowed === true);
}

export interface Question extends Access {
  cluster: string;
}

/** Why somebody may do something: the binding that people made, and the native one that it became. */
export interface Grant {
  userBinding?: string;
  groupBinding?: string;
  roleTemplate?: string;
  subject: Subject;
  native?: { kind: string; namespace?: string; name: string };
  role: { kind: string; name: string };
  rule: PolicyRule;
}

export interface Explanation {
  allowed: boolean;
  grants?: Grant[];
  missing?: {
    rule: PolicyRule;
    /** Which roles would give it. */
    templates?: { roleTemplate: string; scope?: string }[];
    /** Who could give which of them, and why they can. */
    grantors?: { subject: Subject; roleTemplates?: string[]; because?: Partial<Grant> }[];
  };
}

export interface Holder {
  /** Of a service account. */
  namespace?: string;
  name: string;
  grants?: Grant[];
}

export interface Holders {
  users?: Holder[];
  groups?: Holder[];
  serviceAccounts?: Holder[];
}

function asked({ cluster, verb, group, resource, subresource, namespace, name }: Question): URLSearchParams {
  const parts = { cluster, verb, apiGroup: group, resource, subresource, namespace, name };
  return new URLSearchParams(Object.entries(parts).flatMap(([key, value]) => (value ? [[key, value]] : [])));
}

/** About somebody else, what they have through groups is found in those that are named. */
export function explain(user: string | undefined, groups: readonly string[], question: Question): Promise<Explanation> {
  const query = asked(question);
  if (user) query.set("user", user);
  for (const group of groups) query.append("group", group);
  return request("GET", `/auth/v1/explain?${query}`);
}

export const whoCan = (question: Question): Promise<Holders> => request("GET", `/auth/v1/who-can?${asked(question)}`);

// ---- the fleet's index ---------------------------------------------------------------------

/** What is kept of an object: no more than can be found. */
export interface FoundObject {
  cluster: string;
  apiVersion?: string;
  kind: string;
  resource?: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; creationTimestamp?: string };
  images?: string[];
}

export interface SearchAnswer {
  items?: FoundObject[];
  total?: number;
  /** How many of each kind. */
  counts?: { cluster?: string; group?: string; resource?: string; count?: number }[];
  continue?: string;
  /** Clusters of which nothing is heard now, and since when. */
  staleClusters?: { name: string; since?: string }[];
}

export function searchResources(parts: Record<string, string | undefined>): Promise<SearchAnswer> {
  const query = new URLSearchParams(Object.entries(parts).flatMap(([key, value]) => (value ? [[key, value]] : [])));
  return request("GET", `/acp/v1/resources/search?${query}`);
}
