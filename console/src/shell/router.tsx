// The routes. Filters live in the address, so Back and a shared link bring them back.
import { createBrowserHistory, createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { ClusterListPage } from "../clusters/cluster-list-page";
import { withWords } from "../i18n/i18n";
import { Frame } from "./frame";
import { NotFound, PageFailed } from "./page-states";
import { bindingSearch, clusterSearch, fleetSearch, groupSearch, projectSearch, providerSearch, questionSearch, roleSearch, userSearch } from "./search";

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

const cluster = createRoute({ getParentRoute: () => clusters, path: "$name", component: lazyRouteComponent(() => import("../clusters/cluster-drawer"), "ClusterDrawer") });

const projects = createRoute({
  getParentRoute: () => root,
  path: "/projects",
  validateSearch: projectSearch,
  component: lazyRouteComponent(() => withWords(import("../tenancy/projects-page"), "tenancy"), "ProjectsPage"),
});

const project = createRoute({ getParentRoute: () => projects, path: "$name", component: lazyRouteComponent(() => withWords(import("../tenancy/project-drawer"), "tenancy"), "ProjectDrawer") });

const bindings = createRoute({
  getParentRoute: () => root,
  path: "/bindings",
  validateSearch: bindingSearch,
  component: lazyRouteComponent(() => withWords(import("../tenancy/bindings-page"), "tenancy"), "BindingsPage"),
});

const binding = createRoute({ getParentRoute: () => bindings, path: "$name", component: lazyRouteComponent(() => withWords(import("../tenancy/binding-drawer"), "tenancy"), "BindingDrawer") });

const roles = createRoute({
  getParentRoute: () => root,
  path: "/roles",
  validateSearch: roleSearch,
  component: lazyRouteComponent(() => withWords(import("../tenancy/roles-page"), "tenancy"), "RolesPage"),
});

const role = createRoute({ getParentRoute: () => roles, path: "$name", component: lazyRouteComponent(() => withWords(import("../tenancy/role-drawer"), "tenancy"), "RoleDrawer") });

const explain = createRoute({
  getParentRoute: () => root,
  path: "/explain",
  validateSearch: questionSearch,
  component: lazyRouteComponent(() => withWords(import("../tenancy/explain-page"), "tenancy"), "ExplainPage"),
});

const search = createRoute({
  getParentRoute: () => root,
  path: "/search",
  validateSearch: fleetSearch,
  component: lazyRouteComponent(() => withWords(import("../tenancy/search-page"), "tenancy"), "SearchPage"),
});

const users = createRoute({
  getParentRoute: () => root,
  path: "/users",
  validateSearch: userSearch,
  component: lazyRouteComponent(() => withWords(import("../directory/users-page"), "people", "asks"), "UsersPage"),
});

const user = createRoute({
  getParentRoute: () => users,
  path: "$name",
  component: lazyRouteComponent(() => withWords(import("../directory/user-drawer"), "people"), "UserDrawer"),
});

const groups = createRoute({
  getParentRoute: () => root,
  path: "/groups",
  validateSearch: groupSearch,
  component: lazyRouteComponent(() => withWords(import("../directory/groups-page"), "people"), "GroupsPage"),
});

const group = createRoute({
  getParentRoute: () => groups,
  path: "$name",
  component: lazyRouteComponent(() => withWords(import("../directory/group-drawer"), "people"), "GroupDrawer"),
});

const providers = createRoute({
  getParentRoute: () => root,
  path: "/providers",
  validateSearch: providerSearch,
  component: lazyRouteComponent(() => withWords(import("../directory/providers-page"), "people", "asks"), "ProvidersPage"),
});

const provider = createRoute({
  getParentRoute: () => providers,
  path: "$name",
  component: lazyRouteComponent(() => withWords(import("../directory/provider-drawer"), "people"), "ProviderDrawer"),
});

const securityPolicy = createRoute({
  getParentRoute: () => root,
  path: "/security-policy",
  component: lazyRouteComponent(() => withWords(import("../directory/policy-page"), "people"), "SecurityPolicyPage"),
});

const account = createRoute({
  getParentRoute: () => root,
  path: "/account",
  component: lazyRouteComponent(() => withWords(import("../account/account-page"), "people", "asks"), "AccountPage"),
});

const tree = root.addChildren([home, clusters.addChildren([cluster]), search, explain, projects.addChildren([project]), bindings.addChildren([binding]), roles.addChildren([role]), users.addChildren([user]), groups.addChildren([group]), providers.addChildren([provider]), securityPolicy, account]);

export function makeRouter() {
  return createRouter({ routeTree: tree, history: createBrowserHistory(), defaultErrorComponent: PageFailed });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
