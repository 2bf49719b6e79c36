// Everything below a session: the data, the routes, the frame around them.
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";
import { CLUSTERS_PATH, type Cluster } from "../api/cluster";
import { CONNECTORS_PATH, GROUPS_PATH, USERS_PATH, type Connector, type Group, type User } from "../api/directory";
import type { Session } from "../api/identity";
import { BINDINGS_PATH, OWN_BINDINGS_PATH, OWN_PROJECTS_PATH, PROJECTS_PATH, ROLES_PATH, type Binding, type Project, type RoleTemplate } from "../api/tenancy";
import { WatchStore } from "../api/watch-store";
import { makeRouter } from "./router";
import { ShellContext, type Stores } from "./context";

const Idle = lazy(() => import("./idle"));
const Toasts = lazy(() => import("../ui/toast-list"));

interface Props {
  session: Session;
  onSignOut: (idle?: boolean) => void;
}

export default function Shell({ session, onSignOut }: Props) {
  const [queries] = useState(
    () =>
      new QueryClient({
        defaultOptions: {
          queries: { retry: 1, refetchOnWindowFocus: false },
          // Variables of a mutation can hold a kubeconfig or a token: forget them with the dialog.
          mutations: { gcTime: 0, retry: false },
        },
      }),
  );
  const [stores] = useState<Stores>(() => ({
    clusters: new WatchStore<Cluster>({ path: CLUSTERS_PATH }),
    users: new WatchStore<User>({ path: USERS_PATH }),
    groups: new WatchStore<Group>({ path: GROUPS_PATH }),
    connectors: new WatchStore<Connector>({ path: CONNECTORS_PATH }),
    projects: new WatchStore<Project>({ path: PROJECTS_PATH, ownPath: OWN_PROJECTS_PATH }),
    bindings: new WatchStore<Binding>({ path: BINDINGS_PATH, ownPath: OWN_BINDINGS_PATH }),
    roles: new WatchStore<RoleTemplate>({ path: ROLES_PATH }),
  }));
  const [router] = useState(makeRouter);
  useEffect(() => () => queries.clear(), [queries]);
  return (
    <QueryClientProvider client={queries}>
      <ShellContext value={{ session, onSignOut, ...stores }}>
        <RouterProvider router={router} />
        <Suspense fallback={null}>
          {session.idleSeconds !== undefined && session.idleSeconds > 0 && <Idle idleSeconds={session.idleSeconds} onIdle={() => onSignOut(true)} />}
          <Toasts />
        </Suspense>
      </ShellContext>
    </QueryClientProvider>
  );
}
