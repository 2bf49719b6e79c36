// What the pages show of a Cluster, decided in one place.
//
// Members report parts of these objects, so nothing about their shape is
// trusted: values of a wrong type count as absent.
import {
  CONNECTION_KEY,
  DISPLAY_NAME_ANNOTATION,
  HUB_NAME,
  type Cluster,
  type ClusterCondition,
} from "../api/cluster";
import { order, selectRows, type Query } from "../lib/select";
import type { ConditionLike } from "../ui/detail";
import { componentsOf, resourcesOf, type ResourceView } from "./capacity";

export const HEALTHS = ["unhealthy", "unknown", "degraded", "pending", "removing", "healthy"] as const;
export type Health = (typeof HEALTHS)[number];

export const LINKS = ["in-process", "tunnel", "direct"] as const;
export type Link = (typeof LINKS)[number] | "unknown";

export interface ClusterView {
  name: string;
  uid: string | undefined;
  displayName: string | undefined;
  isHub: boolean;
  health: Health;
  /** The reason in the API's own words, when the cluster is not well. */
  reason: string | undefined;
  version: string | undefined;
  versionSupported: boolean;
  nodes: { ready: number; total: number } | undefined;
  heartbeat: number | undefined;
  link: Link;
  phase: string | undefined;
  endpoint: string | undefined;
  created: number | undefined;
  conditions: readonly ClusterCondition[];
  resources: readonly ResourceView[];
  components: readonly ConditionLike[];
  labels: readonly (readonly [string, string])[];
}

const views = new WeakMap<Cluster, ClusterView>();

/** The view of an object, made once: an unchanged object gives the same view. */
export function clusterView(cluster: Cluster): ClusterView {
  let view = views.get(cluster);
  if (!view) views.set(cluster, (view = makeView(cluster)));
  return view;
}

function makeView({ metadata, spec, status }: Cluster): ClusterView {
  const conditions = (Array.isArray(status?.conditions) ? status.conditions : []).flatMap(readCondition);
  const nodes = nodeCounts(status?.nodes);
  const link = metadata.annotations?.[CONNECTION_KEY] ?? metadata.labels?.[CONNECTION_KEY];
  const endpoint = spec?.controlPlaneEndpoint;
  const supported = find(conditions, "VersionSupported");
  return {
    name: metadata.name,
    uid: text(metadata.uid),
    displayName: clipped(metadata.annotations?.[DISPLAY_NAME_ANNOTATION]),
    isHub: metadata.name === HUB_NAME,
    ...health(conditions, nodes, metadata.deletionTimestamp !== undefined),
    version: clipped(status?.kubernetesVersion),
    versionSupported: supported?.status !== "False",
    nodes,
    heartbeat: time(status?.lastHeartbeatTime),
    link: LINKS.find((known) => known === link) ?? "unknown",
    phase: clipped(status?.phase),
    endpoint: text(endpoint?.host) ? `${endpoint?.host}:${endpoint?.port ?? 443}` : undefined,
    created: time(metadata.creationTimestamp),
    conditions,
    resources: resourcesOf(status),
    components: componentsOf(status),
    labels: Object.entries(metadata.labels ?? {})
      .filter((entry): entry is [string, string] => typeof entry[1] === "string")
      .toSorted(([a], [b]) => order.compare(a, b)),
  };
}

/** The conditions of the fleet's own without which a cluster is not well, for all of which True is well. */
const OURS = new Set([
  "Connected", "APIServerHealthy", "ComponentsHealthy", "VersionSupported", "IdentityConfirmed", "CertificatesValid", "ClockSynchronised",
]);

function readCondition(condition: ClusterCondition | null): ClusterCondition[] {
  const type = clipped(condition?.type);
  if (type === undefined || !condition) return [];
  const said = { reason: clipped(condition.reason), message: text(condition.message), lastTransitionTime: text(condition.lastTransitionTime) };
  const known = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined));
  return [{ ...known, type, status: text(condition.status) ?? "Unknown" }];
}

/** One word for a cluster: the worst that its conditions say. */
function health(
  conditions: readonly ClusterCondition[],
  nodes: ClusterView["nodes"],
  removing: boolean,
): Pick<ClusterView, "health" | "reason"> {
  const ready = find(conditions, "Ready");
  if (removing) return { health: "removing", reason: because(find(conditions, "Removing")) };
  if (!ready) return { health: "pending", reason: because(conditions.find(({ type, status }) => status !== "True" && OURS.has(type))) };
  if (ready.status === "Unknown") return { health: "unknown", reason: because(ready) };
  const connected = find(conditions, "Connected");
  if (ready.status === "False") {
    // A registered cluster whose agent has not come yet is not broken.
    const waiting = nodes === undefined && connected !== undefined && connected.status !== "True";
    return { health: waiting ? "pending" : "unhealthy", reason: because(ready) };
  }
  // Of conditions that others add, False may be the good news (`Paused`, `Deleting`).
  const warning = conditions.find(({ type, status }) => status === "False" && OURS.has(type));
  if (warning) return { health: "degraded", reason: because(warning) };
  if (nodes && nodes.ready < nodes.total) return { health: "degraded", reason: undefined };
  return { health: "healthy", reason: undefined };
}

function because(condition: ClusterCondition | undefined): string | undefined {
  return clipped(condition?.reason) ?? clipped(condition?.message);
}

export function find(conditions: readonly ClusterCondition[], type: string): ClusterCondition | undefined {
  return conditions.find((condition) => condition.type === type);
}

export function isTrue(view: ClusterView | undefined, type: string): boolean {
  return view !== undefined && find(view.conditions, type)?.status === "True";
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Members decide how long these are; no real one comes near this. */
const LONGEST = 160;

function clipped(value: unknown): string | undefined {
  const whole = text(value);
  return whole !== undefined && whole.length > LONGEST ? `${whole.slice(0, LONGEST)}…` : whole;
}

export function time(value: unknown): number | undefined {
  const parsed = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(parsed) ? undefined : parsed;
}

function nodeCounts(nodes: unknown): ClusterView["nodes"] {
  const { ready, total } = (nodes ?? {}) as { ready?: unknown; total?: unknown };
  if (typeof total !== "number") return undefined;
  return { ready: typeof ready === "number" ? ready : 0, total };
}

export const SORT_KEYS = ["name", "health", "version", "nodes", "heartbeat", "connection"] as const;
export type SortKey = (typeof SORT_KEYS)[number];

export interface Filters {
  health?: Health | undefined;
}

/** The rows a query asks for, in its order. */
export function select(all: readonly ClusterView[], query: Query<SortKey> & Filters): ClusterView[] {
  const rows = query.health === undefined ? all : all.filter((view) => view.health === query.health);
  return selectRows(rows, query, {
    words: ({ name, displayName, labels }) => [name, displayName, ...labels.map(([key, value]) => `${key}=${value}`)],
    orders: {
      name: byName,
      health: (a, b) => HEALTHS.indexOf(a.health) - HEALTHS.indexOf(b.health),
      version: (a, b) => order.compare(a.version ?? "", b.version ?? ""),
      nodes: (a, b) => (a.nodes?.total ?? -1) - (b.nodes?.total ?? -1),
      heartbeat: (a, b) => (a.heartbeat ?? 0) - (b.heartbeat ?? 0),
      connection: (a, b) => a.link.localeCompare(b.link),
    },
    tie: byName,
  });
}

/** The hub first, then by name with numbers in their own order. */
function byName(a: ClusterView, b: ClusterView): number {
  return Number(b.isHub) - Number(a.isHub) || order.compare(a.name, b.name);
}
