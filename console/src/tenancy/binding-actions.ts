// Which right it takes to give or take a role, and where.
import { createContext } from "react";
import type { Access } from "../api/tenancy";
import type { PlacedAccess } from "../shell/rights";
import type { Level } from "./keys";
import type { BindingView, Place } from "./model";

/** Asks to take a role away; the page that shows bindings owns the dialog. */
export const BindingRemovalContext = createContext<(view: BindingView) => void>(() => undefined);

/** Who looks after a project or a namespace holds the right there, as a fact of its own namespace. */
export function bindingAccess(verb: "create" | "delete", level: Level | undefined, [place]: readonly Place[], resource = "userbindings"): PlacedAccess {
  const access: Access = { verb, group: "auth.alauda.io", resource };
  if (level === "project" && place?.project) return { access: { ...access, namespace: place.project } };
  if (level === "namespace" && place?.namespace) return { access: { ...access, namespace: place.namespace }, ...(place.cluster ? { cluster: place.cluster } : {}) };
  return { access };
}

export const removalAccess = (view: BindingView): PlacedAccess => bindingAccess("delete", view.level, view.places, view.object.kind === "GroupBinding" ? "groupbindings" : "userbindings");

/** Nobody looks after more than this on one page. */
const MOST = 200;

/** Where roles in namespaces are given already: who looks after one of those can give more there. */
export function givenIn(views: readonly BindingView[]): PlacedAccess[] {
  const places = views.flatMap(({ level, places: all }) => (level === "namespace" ? all : []));
  const distinct = new Map(places.map((place) => [`${place.cluster} ${place.namespace}`, place]));
  return [...distinct.values()].slice(0, MOST).map((place) => bindingAccess("create", "namespace", [place]));
}
