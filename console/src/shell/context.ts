// What every page below a session may use.
import { createContext, use, useSyncExternalStore } from "react";
import type { Cluster } from "../api/cluster";
import type { Connector, Group, User } from "../api/directory";
import type { Session } from "../api/identity";
import type { Binding, Project, RoleTemplate } from "../api/tenancy";
import type { Snapshot, WatchedObject, WatchStore } from "../api/watch-store";

/** Each lists and watches only while somebody looks at it. */
export interface Stores {
  clusters: WatchStore<Cluster>;
  users: WatchStore<User>;
  groups: WatchStore<Group>;
  connectors: WatchStore<Connector>;
  projects: WatchStore<Project>;
  bindings: WatchStore<Binding>;
  roles: WatchStore<RoleTemplate>;
}

interface ShellValue extends Stores {
  session: Session;
  onSignOut: (idle?: boolean) => void;
}

export const ShellContext = createContext<ShellValue | undefined>(undefined);

export function useShell(): ShellValue {
  const value = use(ShellContext);
  if (!value) throw new Error("used outside the shell");
  return value;
}

export function useStore<T extends WatchedObject>(store: WatchStore<T>): Snapshot<T> {
  return useSyncExternalStore(store.subscribe, store.getSnapshot);
}

export function useClusters(): Snapshot<Cluster> {
  return useStore(useShell().clusters);
}
