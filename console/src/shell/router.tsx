// The routes. Filters live in the address, so Back and a shared link bring them back.
import { createBrowserHistory, createRootRoute, createRoute, createRouter, redirect } from "@tanstack/react-router";
import { ClusterDrawer } from "../clusters/cluster-drawer";
import { ClusterListPage } from "../clusters/cluster-list-page";
import { HEALTHS, SORT_KEYS, type Health, type SortKey } from "../clusters/model";
import { Frame } from "./frame";
import { NotFound, PageFailed } from "./page-states";

export interface ClusterSearch {
  q?: string;
  health?: Health;
  sort?: SortKey | `-${SortKey}`;
}

/** Reads the search part of an address. Anything unknown in it is dropped. */
export function clusterSearch(raw: Record<string, unknown>): ClusterSearch {
  const search: ClusterSearch = {};
  if ((typeof raw.q === "string" || typeof raw.q === "number") && raw.q !== "") search.q = String(raw.q);
  const health = HEALTHS.find((known) => known === raw.health);
  if (health) search.health = health;
  const sort = SORT_KEYS.flatMap((key) => [key, `-${key}`] as const).find((known) => known === raw.sort);
  if (sort && sort !== "name") search.sort = sort;
  return search;
}

const root = createRootRoute({ component: Frame, notFoundComponent: NotFound, errorComponent: PageFailed });

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/clusters", replace: true });
  },
});

const clusters = createRoute({
  getParentRoute: () => root,
  path: "/clusters",
  validateSearch: clusterSearch,
  component: ClusterListPage,
});

const cluster = createRoute({ getParentRoute: () => clusters, path: "$name", component: ClusterDrawer });

const tree = root.addChildren([home, clusters.addChildren([cluster])]);

export function makeRouter() {
  return createRouter({ routeTree: tree, history: createBrowserHistory(), defaultErrorComponent: PageFailed });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
