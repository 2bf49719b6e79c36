// What the pages show of projects, roles and bindings, decided in one place.
import { DISPLAY_NAME_ANNOTATION } from "../api/cluster";
import type { Amounts, Binding, Project, RoleTemplate, TenancyCondition } from "../api/tenancy";
import { memoized, text, texts, time } from "../lib/reading";
import { order, selectRows, type Query } from "../lib/select";
import { LEVELS, PROJECT_STATES, type BindingFilters, type BindingKey, type Level, type ProjectFilters, type ProjectKey, type ProjectState, type RoleFilters, type RoleKey } from "./keys";

const DESCRIPTION_ANNOTATION = "cpaas.io/description";
const record = (value: unknown): Record<string, unknown> => (typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {});
const objects = (values: unknown): Record<string, unknown>[] => (Array.isArray(values) ? values.map(record) : []);

/** Amounts may be numbers as well. */
function amounts(value: unknown): Amounts {
  return Object.fromEntries(Object.entries(record(value)).flatMap(([key, amount]) => (typeof amount === "string" || typeof amount === "number" ? [[key, String(amount)]] : [])));
}
export const readAmounts = amounts;

const conditionsOf = (values: unknown): TenancyCondition[] => objects(values).filter(({ type }) => text(type) !== undefined) as unknown as TenancyCondition[];

// ---- projects ------------------------------------------------------------------------------

/** What became of one kind of work in one cluster. */
export interface ClusterWork {
  type: string;
  status: "True" | "False" | "Unknown";
  message: string | undefined;
}

export interface ProjectClusterView {
  name: string;
  quota: Amounts;
  work: readonly ClusterWork[];
  /** It was taken out, and something of the project is still there. */
  leaving: boolean;
}

export interface ProjectView {
  name: string;
  title: string;
  displayName: string | undefined;
  description: string | undefined;
  clusters: readonly ProjectClusterView[];
  state: ProjectState;
  reason: string | undefined;
  /** Since when it stands so. */
  since: number | undefined;
  created: number | undefined;
  conditions: readonly TenancyCondition[];
  object: Project;
}

function workIn(cluster: string, conditions: readonly TenancyCondition[]): ClusterWork[] {
  return conditions.map((condition): ClusterWork => {
    const detail = record((condition as { projectNameSpaceDetail?: unknown }).projectNameSpaceDetail);
    const failed = text(record(detail.failedClusters)[cluster]);
    if (failed !== undefined) return { type: condition.type, status: "False", message: failed };
    const done = record(detail.successClusters)[cluster] === true;
    return { type: condition.type, status: done ? "True" : "Unknown", message: undefined };
  });
}

export const projectView = memoized((object: Project): ProjectView => {
  const { metadata, spec = {}, status = {} } = object;
  const displayName = text(metadata.annotations?.[DISPLAY_NAME_ANNOTATION]);
  const conditions = conditionsOf(status.conditions);
  const named = objects(spec.clusters).flatMap(({ name, quota }) => {
    const cluster = text(name);
    return cluster === undefined ? [] : [{ name: cluster, quota: amounts(quota), work: workIn(cluster, conditions), leaving: false }];
  });
  const left = texts(status.clusters).filter((name) => !named.some((cluster) => cluster.name === name));
  const phase = PROJECT_STATES.find((known) => known === status.phase) ?? "Pending";
  const since = conditions.map(({ lastTransitionTime }) => time(lastTransitionTime)).filter((each) => each !== undefined);
  return {
    name: metadata.name,
    title: displayName ?? metadata.name,
    displayName: displayName === metadata.name ? undefined : displayName,
    description: text(metadata.annotations?.[DESCRIPTION_ANNOTATION]),
    clusters: [...named, ...left.map((name) => ({ name, quota: {}, work: [], leaving: true }))],
    state: metadata.deletionTimestamp === undefined ? phase : "Terminating",
    reason: text(status.reason),
    since: metadata.deletionTimestamp === undefined ? (since.length > 0 ? Math.max(...since) : undefined) : time(metadata.deletionTimestamp),
    created: time(metadata.creationTimestamp),
    conditions,
    object,
  };
});

const byTitle = (a: { title: string }, b: { title: string }) => order.compare(a.title, b.title);
const newest = (a: number | undefined, b: number | undefined) => (b ?? 0) - (a ?? 0);

export const selectProjects = (all: readonly ProjectView[], query: Query<ProjectKey> & ProjectFilters): ProjectView[] =>
  selectRows(query.state === undefined ? all : all.filter(({ state }) => state === query.state), query, {
    words: ({ name, title, description, clusters }) => [name, title, description, ...clusters.map((cluster) => cluster.name)],
    orders: {
      project: byTitle,
      clusters: (a, b) => a.clusters.length - b.clusters.length,
      state: (a, b) => PROJECT_STATES.indexOf(a.state) - PROJECT_STATES.indexOf(b.state),
      since: (a, b) => newest(a.since, b.since),
      created: (a, b) => newest(a.created, b.created),
    },
    tie: byTitle,
  });

/** Names that belong to clusters or to the platform. */
const SYSTEM_NAMES = new Set(["cpaas-system", "cert-manager", "default", "global-credentials", "kube-ovn", "kube-public", "kube-system", "nsx-system", "alauda-system", "kube-federation-system"]);
export const isSystemName = (name: string): boolean => name.startsWith("kube-") || SYSTEM_NAMES.has(name);
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
export const isLabel = (name: string): boolean => LABEL.test(name);
export const isProjectName = (name: string): boolean => isLabel(name) && !isSystemName(name) && name !== "true";

// ---- roles ---------------------------------------------------------------------------------

const levelOf = (value: unknown): Level | undefined => LEVELS.find((known) => known === value);

export const ROLE_STATES = ["Failed", "Pending", "Synced"] as const;
export type RoleState = (typeof ROLE_STATES)[number];

export interface RoleView {
  name: string;
  title: string;
  description: string | undefined;
  level: Level | undefined;
  official: boolean;
  state: RoleState;
  synced: readonly string[];
  failed: readonly string[];
  conditions: readonly TenancyCondition[];
  created: number | undefined;
  object: RoleTemplate;
}

/** As published: the text without a language is for readers of Chinese, the one with `.en` for all others. */
function said(annotations: Record<string, string> | undefined, key: string, language: string): string | undefined {
  const [chinese, english] = [text(annotations?.[key]), text(annotations?.[`${key}.en`])];
  return language === "zh" ? (chinese ?? english) : (english ?? chinese);
}

const roleViewer = (language: string) =>
  memoized((object: RoleTemplate): RoleView => {
    const { metadata, status = {} } = object;
    return {
      name: metadata.name,
      title: said(metadata.annotations, DISPLAY_NAME_ANNOTATION, language) ?? metadata.name,
      description: said(metadata.annotations, DESCRIPTION_ANNOTATION, language),
      level: levelOf(metadata.labels?.["auth.cpaas.io/roletemplate.level"]),
      official: metadata.labels?.["auth.cpaas.io/roletemplate.official"] === "true",
      state: ROLE_STATES.find((known) => known === status.phase) ?? "Pending",
      synced: texts(status.syncedClusters),
      failed: texts(status.failedClusters),
      conditions: conditionsOf(status.conditions),
      created: time(metadata.creationTimestamp),
      object,
    };
  });

const roleViewers = { en: roleViewer("en"), zh: roleViewer("zh") };
/** A role tells its name in both languages. */
export const roleView = (language: string): ((object: RoleTemplate) => RoleView) => roleViewers[language === "zh" ? "zh" : "en"];

const levelOrder = (a: { level: Level | undefined }, b: { level: Level | undefined }) => rank(a.level) - rank(b.level);
const rank = (level: Level | undefined) => (level === undefined ? LEVELS.length : LEVELS.indexOf(level));

export const selectRoles = (all: readonly RoleView[], query: Query<RoleKey> & RoleFilters): RoleView[] =>
  selectRows(query.level === undefined ? all : all.filter(({ level }) => level === query.level), query, {
    words: ({ name, title, description }) => [name, title, description],
    orders: {
      level: levelOrder,
      role: byTitle,
      state: (a, b) => ROLE_STATES.indexOf(a.state) - ROLE_STATES.indexOf(b.state),
      created: (a, b) => newest(a.created, b.created),
    },
    tie: byTitle,
  });

// ---- bindings ------------------------------------------------------------------------------

export interface SubjectView {
  kind: "User" | "Group";
  name: string;
}

export interface Place {
  project?: string;
  cluster?: string;
  namespace?: string;
}

export const BINDING_STATES = ["Invalid", "Failed", "Terminating", "Pending", "Synced"] as const;
export type BindingState = (typeof BINDING_STATES)[number];

export interface BindingView {
  name: string;
  /** Who, for readers. */
  title: string;
  subjects: readonly SubjectView[];
  role: string;
  level: Level | undefined;
  /** None: everywhere that the level reaches. */
  places: readonly Place[];
  state: BindingState;
  reason: string | undefined;
  synced: readonly string[];
  failed: readonly string[];
  conditions: readonly TenancyCondition[];
  created: number | undefined;
  object: Binding;
}

/** Two kinds of objects bind, and may have the same name. */
export const groupBindingName = (name: string): string => `groupbinding:${name}`;

function placeOf(value: Record<string, unknown>): Place {
  const [project, cluster, namespace] = [text(value.project), text(value.cluster), text(value.namespace)];
  return { ...(project ? { project } : {}), ...(cluster ? { cluster } : {}), ...(namespace ? { namespace } : {}) };
}

export const bindingView = memoized((object: Binding): BindingView => {
  const { metadata, status = {} } = object;
  // As before, labels may say it.
  const spec = record(object.spec);
  const labels = record(metadata.labels);
  const labelled = Object.keys(spec).length === 0;
  const email = text(metadata.annotations?.["auth.cpaas.io/user.email"]);
  const subjects: SubjectView[] = labelled
    ? email
      ? [{ kind: "User", name: email }]
      : []
    : objects(spec.subjects).flatMap(({ kind, name }) => {
        const known = text(name);
        return known === undefined ? [] : [{ kind: kind === "Group" ? ("Group" as const) : ("User" as const), name: known }];
      });
  const constraint = labelled ? [placeOf({ project: labels["cpaas.io/project"], cluster: labels["cpaas.io/cluster"], namespace: labels["cpaas.io/namespace"] })] : objects(spec.constraint).map(placeOf);
  const failure = record(status.failureDetails);
  const deleted = metadata.deletionTimestamp !== undefined;
  return {
    name: object.kind === "GroupBinding" ? groupBindingName(metadata.name) : metadata.name,
    title: subjects.map(({ name }) => name).join(", ") || metadata.name,
    subjects,
    role: text(labelled ? labels["auth.cpaas.io/role.name"] : spec.roleRef) ?? "",
    level: levelOf(labelled ? labels["auth.cpaas.io/role.level"] : spec.scope),
    places: constraint.filter((place) => Object.keys(place).length > 0),
    state: deleted ? "Terminating" : (BINDING_STATES.find((known) => known === status.phase) ?? "Pending"),
    reason: text(failure.failureMessage) ?? text(failure.failureReason) ?? conditionsOf(status.conditions).map((condition) => (condition.status === "False" ? text(condition.message) : undefined)).find(Boolean),
    synced: texts(status.syncedClusters),
    failed: texts(status.failedClusters),
    conditions: conditionsOf(status.conditions),
    created: time(metadata.creationTimestamp),
    object,
  };
});

export const placeWords = ({ project, cluster, namespace }: Place): string => [project, cluster, namespace].filter(Boolean).join(" / ");
const wherever = ({ level, places }: BindingView) => `${rank(level)} ${places.map(placeWords).join()}`;

export function selectBindings(all: readonly BindingView[], query: Query<BindingKey> & BindingFilters): BindingView[] {
  const { level, project, cluster, kind } = query;
  const rows = all.filter(
    (view) =>
      (level === undefined || view.level === level) &&
      (project === undefined || view.places.some((place) => place.project === project)) &&
      // A role on the whole platform, or in a project without naming its clusters, holds there as well; but it is not about it.
      (cluster === undefined || view.places.some((place) => place.cluster === cluster) || view.synced.includes(cluster)) &&
      (kind === undefined || view.subjects.some((subject) => subject.kind === kind)),
  );
  return selectRows(rows, query, {
    words: ({ object, subjects, role, places }) => [object.metadata.name, role, ...subjects.map(({ name }) => name), ...places.map(placeWords)],
    orders: {
      subject: byTitle,
      role: (a, b) => order.compare(a.role, b.role),
      place: (a, b) => order.compare(wherever(a), wherever(b)),
      state: (a, b) => BINDING_STATES.indexOf(a.state) - BINDING_STATES.indexOf(b.state),
      created: (a, b) => newest(a.created, b.created),
    },
    tie: (a, b) => byTitle(a, b) || order.compare(a.role, b.role),
  });
}
