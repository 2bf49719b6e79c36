// What can be done to a project, and which right each takes.
import { createContext } from "react";
import type { Access, Namespace } from "../api/tenancy";
import type { ProjectView } from "./model";

export type ProjectAction =
  | { action: "quota" | "removeCluster" | "createNamespace" | "importNamespace"; cluster: string }
  | { action: "takeOutNamespace" | "deleteNamespace"; cluster: string; namespace: Namespace }
  | { action: "addCluster" | "addMember" | "remove" };

/** The page of the list owns the dialogs. */
export const ProjectActionContext = createContext<(action: ProjectAction, view: ProjectView) => void>(() => undefined);

const project = { group: "auth.alauda.io", resource: "projects" };
export const CREATE_PROJECT: Access = { verb: "create", ...project };
/** Its clusters and quotas are what the platform gives it. */
export const changeProject = (name: string): Access => ({ verb: "update", group: "auth.alauda.io", resource: "projectclusters", name });
export const removeProject = (name: string): Access => ({ verb: "delete", ...project, name });
