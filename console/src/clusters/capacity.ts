// How much a cluster has and gives away, and how its components are, as its object says it. Members report this, so values of a
// wrong type count as absent.
import type { Cluster } from "../api/cluster";
import { inUnitOf, quantity, share } from "../lib/quantity";
import type { ConditionLike } from "../ui/detail";

export interface ResourceView {
  name: string;
  /** What Pods ask for, in the unit of what there is for them. */
  allocated: string;
  allocatable: string;
  /** 1 is all of it. */
  share: number | undefined;
}

/** What people look for first; all else by name. */
const FIRST = ["cpu", "memory", "pods", "ephemeral-storage"];
const MOST = 32;
const LONGEST = 300;

export function resourcesOf(status: Cluster["status"]): ResourceView[] {
  const { allocatable, allocated } = (status?.resource ?? {}) as Record<string, Record<string, unknown> | null | undefined>;
  const place = (name: string) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return Object.entries(allocatable ?? {})
    .flatMap(([name, whole]) => {
      if (typeof whole !== "string" || quantity(whole) === undefined) return [];
      const part = allocated?.[name];
      const used = typeof part === "string" && quantity(part) !== undefined ? part : "0";
      return [{ name, allocated: inUnitOf(whole, used), allocatable: whole, share: share(used, whole) }];
    })
    .toSorted((a, b) => place(a.name) - place(b.name) || (a.name < b.name ? -1 : 1))
    .slice(0, MOST);
}

/** Components look like conditions: one that is not well is False. */
export function componentsOf(status: Cluster["status"]): ConditionLike[] {
  const components: unknown = status?.components;
  return (Array.isArray(components) ? components : []).slice(0, MOST).flatMap((component: unknown) => {
    const { name, healthy, message, lastTransitionTime } = (component ?? {}) as Record<string, unknown>;
    if (typeof name !== "string" || typeof healthy !== "boolean") return [];
    return [{
      type: name.slice(0, LONGEST),
      status: healthy ? "True" : "False",
      ...(typeof message === "string" && { message: message.slice(0, LONGEST) }),
      ...(typeof lastTransitionTime === "string" && { lastTransitionTime }),
    }];
  });
}
