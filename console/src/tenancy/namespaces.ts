// What the pages show of a project's namespaces, and what a new one may be; decided in one place.
import { DISPLAY_NAME_ANNOTATION } from "../api/cluster";
import { POD_SECURITY_LABEL, PROJECT_LABEL, type Limits, type ResourceQuota } from "../api/namespaces";
import type { Access, Amounts, Namespace } from "../api/tenancy";
import { left, quantity } from "../lib/quantity";
import { memoized, text, time } from "../lib/reading";
import { allOf, type Guard, type PlacedAccess, type Verdict } from "../shell/rights";
import { isLabel, isSystemName, readAmounts } from "./model";

export interface NamespaceView {
  name: string;
  displayName: string | undefined;
  phase: string | undefined;
  podSecurity: string | undefined;
  created: number | undefined;
  object: Namespace;
}

export const namespaceView = memoized((object: Namespace): NamespaceView => {
  const { metadata, status } = object;
  return {
    name: metadata.name,
    displayName: text(metadata.annotations?.[DISPLAY_NAME_ANNOTATION]),
    phase: text(status?.phase),
    podSecurity: text(metadata.labels?.[POD_SECURITY_LABEL]),
    created: time(metadata.creationTimestamp),
    object,
  };
});

/** What may be put into a project: no other's, none of the platform's or of Kubernetes', none that is going. */
export const isFree = ({ metadata: { name, labels, deletionTimestamp }, status }: Namespace): boolean =>
  !labels?.[PROJECT_LABEL] && !isSystemName(name) && deletionTimestamp === undefined && status?.phase !== "Terminating";

// ---- amounts -------------------------------------------------------------------------------

export interface Bound {
  hard: string;
  /** Undefined where it is not known. */
  used: string | undefined;
}
export type Bounds = Readonly<Record<string, Bound>>;

export function boundsOf(hard: Amounts, used: Amounts | undefined): Bounds {
  return Object.fromEntries(Object.entries(hard).map(([key, most]) => [key, { hard: most, used: used && (used[key] ?? "0") }]));
}

/** Several quotas may be about the same: the one of which least is left decides. Those for some Pods only are left out. */
export function tightest(quotas: readonly ResourceQuota[]): Bounds {
  const rest = ({ hard, used }: Bound) => (quantity(hard) ?? Number.POSITIVE_INFINITY) - (quantity(used) ?? 0);
  const found: Record<string, Bound> = {};
  for (const { spec, status } of quotas) {
    if (spec?.scopes || spec?.scopeSelector) continue;
    const used = status?.used === undefined ? undefined : readAmounts(status.used);
    for (const [key, bound] of Object.entries(boundsOf(readAmounts(spec?.hard), used))) {
      const known = found[key];
      if (!known || rest(bound) < rest(known)) found[key] = bound;
    }
  }
  return found;
}

/** Of what nothing is left. What a project may have none of at all is not used up. */
export const usedUp = (bounds: Bounds): string[] => Object.entries(bounds).flatMap(([key, { hard, used }]) => ((quantity(hard) ?? 0) > 0 && (quantity(used) ?? 0) >= (quantity(hard) ?? 0) ? [key] : []));

export const leftOf = (bound: Bound): string | undefined => left(bound.used, bound.hard);

/** What is wrong with the amount that a namespace is to be given of what its project has. */
export function boundProblem(amount: string, bound: Bound): "missing" | "tooMuch" | undefined {
  if (amount.trim() === "") return "missing";
  const [wanted, hard, used] = [quantity(amount.trim()), quantity(bound.hard), quantity(bound.used)];
  return wanted !== undefined && hard !== undefined && used !== undefined && wanted > Math.max(0, hard - used) ? "tooMuch" : undefined;
}

// ---- a new one -----------------------------------------------------------------------------

export type NameProblem = "required" | "prefix" | "bad";

export function nameProblem(name: string, project: string): NameProblem | undefined {
  const prefix = `${project}-`;
  if (name === "" || name === prefix) return "required";
  if (!name.startsWith(prefix)) return "prefix";
  return isLabel(name) ? undefined : "bad";
}

export const LIMIT_KINDS = ["defaultRequest", "default", "max"] as const;
export const LIMIT_RESOURCES = ["cpu", "memory"] as const;
export const NO_LIMITS: Limits = { defaultRequest: {}, default: {}, max: {} };

export type LimitProblem = "wrong" | "order";

/** By `kind.resource`. What a container asks for is no more than its limit, and that no more than the most. */
export function limitProblems(limits: Limits): ReadonlyMap<string, LimitProblem> {
  const found = new Map<string, LimitProblem>();
  for (const resource of LIMIT_RESOURCES) {
    let least = 0;
    for (const kind of LIMIT_KINDS) {
      const amount = limits[kind][resource]?.trim() ?? "";
      if (amount === "") continue;
      const value = quantity(amount);
      if (value === undefined) found.set(`${kind}.${resource}`, "wrong");
      else if (value < least) found.set(`${kind}.${resource}`, "order");
      else least = value;
    }
  }
  return found;
}

// ---- rights --------------------------------------------------------------------------------

const namespaces = (verb: string, name?: string): Access => ({ verb, group: "", resource: "namespaces", ...(name ? { namespace: name, name } : {}) });
/** A fact of the project's own namespace, which admission asks about. */
const membership = (verb: "create" | "delete", project: string): Access => ({ verb, group: "auth.alauda.io", resource: "projectnamespaces", namespace: project });
const on = (cluster: string, ...accesses: Access[]): PlacedAccess[] => accesses.map((access) => ({ access, cluster }));

export const creationNeeds = (project: string, cluster: string): PlacedAccess[] => on(cluster, membership("create", project), namespaces("create"));
export const importNeeds = (project: string, cluster: string): PlacedAccess[] => on(cluster, membership("create", project), namespaces("list"));
export const changeNeeds = (cluster: string, name: string): PlacedAccess[] => on(cluster, namespaces("patch", name));
export const takeOutNeeds = (project: string, cluster: string, name: string): PlacedAccess[] => [...on(cluster, membership("delete", project)), ...changeNeeds(cluster, name)];
export const deletionNeeds = (cluster: string, name: string): PlacedAccess[] => on(cluster, namespaces("delete", name));
/** Any level but the strictest is a favour. */
export const loosening = (cluster: string, namespace: string): PlacedAccess => ({ access: { verb: "update", group: "auth.alauda.io", resource: "namespacesecurity", ...(namespace ? { namespace } : {}) }, cluster });

/** Splits the answers to several lists of needs that were asked about at once. */
export function guards(needs: readonly (readonly PlacedAccess[])[], verdicts: readonly Verdict[]): Guard[] {
  let at = 0;
  return needs.map((placed) => allOf(placed, verdicts.slice(at, (at += placed.length))));
}
