// A question about a right, as people and addresses write it: may USER do VERB on RESOURCE in NAMESPACE of CLUSTER.
import { HUB_NAME } from "../api/cluster";
import type { Question } from "../api/tenancy";

export interface QuestionText {
  /** Nobody: oneself. */
  user?: string;
  /** Theirs, with commas between. */
  groups?: string;
  verb?: string;
  /** As kubectl takes it: `pods`, `deployments.apps`, `pods/log`. */
  resource?: string;
  name?: string;
  namespace?: string;
  cluster?: string;
  /** Who can, instead of whether somebody may. */
  who?: boolean;
}

export const VERBS = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"] as const;
export const RESOURCES = ["pods", "pods/log", "pods/exec", "deployments.apps", "statefulsets.apps", "services", "secrets", "configmaps", "persistentvolumeclaims", "namespaces", "nodes", "ingresses.networking.k8s.io", "projects.auth.alauda.io", "userbindings.auth.alauda.io", "clusters.cluster.x-k8s.io"] as const;

/** Undefined while it asks for nothing. */
export function readQuestion({ verb, resource, name, namespace, cluster }: QuestionText): Question | undefined {
  if (!verb || !resource) return undefined;
  const [kind = "", subresource] = resource.split("/", 2);
  const dot = kind.indexOf(".");
  return {
    cluster: cluster ?? HUB_NAME,
    verb,
    group: dot < 0 ? "" : kind.slice(dot + 1),
    resource: dot < 0 ? kind : kind.slice(0, dot),
    ...(subresource ? { subresource } : {}),
    ...(namespace ? { namespace } : {}),
    ...(name ? { name } : {}),
  };
}
