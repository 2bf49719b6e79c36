// What every page below a session may use.
import { createContext, use, useSyncExternalStore } from "react";
import type { Cluster } from "../api/cluster";
import type { Session } from "../api/identity";
import type { Snapshot, WatchStore } from "../api/watch-store";

interface ShellValue {
  session: Session;
  onSignOut: (idle?: boolean) => void;
  clusters: WatchStore<Cluster>;
}

export const ShellContext = createContext<ShellValue | undefined>(undefined);

export function useShell(): ShellValue {
  const value = use(ShellContext);
  if (!value) throw new Error("used outside the shell");
  return value;
}

export function useClusters(): Snapshot<Cluster> {
  const { clusters } = useShell();
  return useSyncExternalStore(clusters.subscribe, clusters.getSnapshot);
}
