// The Cluster object as the hub serves it (`cluster.x-k8s.io/v1beta1`). Everything is optional: members report much of it.
import type { ClusterSpec, ClusterStatus } from "./generated/cluster";

export const CLUSTERS_PATH = "/kubernetes/global/apis/cluster.x-k8s.io/v1beta1/namespaces/cpaas-system/clusters";

/** Those in which the caller has a role. */
export const OWN_CLUSTERS_PATH = "/auth/v1/clusters";

/** The hub's own entry in its fleet. */
export const HUB_NAME = "global";

export const DISPLAY_NAME_ANNOTATION = "cpaas.io/display-name";
export const PLATFORM_URL_ANNOTATION = "cpaas.io/platform-url";
export const CONNECTION_KEY = "fleet.cpaas.io/connection";

type Condition = NonNullable<ClusterStatus["conditions"]>[number];

/** Only these two are relied on: an object that was made elsewhere may say less than the schema asks for. */
export type ClusterCondition = Pick<Condition, "type" | "status"> & Partial<Condition>;

export interface Cluster {
  apiVersion?: "cluster.x-k8s.io/v1beta1";
  kind?: "Cluster";
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    creationTimestamp?: string;
    deletionTimestamp?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  spec?: ClusterSpec;
  status?: Omit<ClusterStatus, "conditions"> & { conditions?: ClusterCondition[] };
}
