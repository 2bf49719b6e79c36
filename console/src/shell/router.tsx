// The routes. Filters live in the address, so Back and a shared link bring them back.
import { createBrowserHistory, createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { ClusterDrawer } from "../clusters/cluster-drawer";
import { ClusterListPage } from "../clusters/cluster-list-page";
import { Frame } from "./frame";
import { NotFound, PageFailed } from "./page-states";
import { clusterSearch } from "./search";

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

const account = createRoute({
  getParentRoute: () => root,
  path: "/account",
  component: lazyRouteComponent(() => import("../account/account-page"), "AccountPage"),
});

const tree = root.addChildren([home, clusters.addChildren([cluster]), account]);

export function makeRouter() {
  return createRouter({ routeTree: tree, history: createBrowserHistory(), defaultErrorComponent: PageFailed });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
