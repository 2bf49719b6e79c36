import { createContext } from "react";
import type { ClusterView } from "./model";

/** Asks to remove a cluster; the list page owns the dialog. */
export const RemovalContext = createContext<(view: ClusterView) => void>(() => undefined);
