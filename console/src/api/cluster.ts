// The Cluster object as the hub serves it (`cluster.x-k8s.io/v1beta1`). Everything is optional: members report much of it.

export const CLUSTERS_PATH = "/kubernetes/global/apis/cluster.x-k8s.io/v1beta1/namespaces/cpaas-system/clusters";

/** The hub's own entry in its fleet. */
export const HUB_NAME = "global";

export const DISPLAY_NAME_ANNOTATION = "cpaas.io/display-name";
export const PLATFORM_URL_ANNOTATION = "cpaas.io/platform-url";
export const CONNECTION_KEY = "fleet.cpaas.io/connection";

export interface ClusterCondition {
  type: string;
  status: "True" | "False" | "Unknown" | (string & {});
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

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
  spec?: {
    controlPlaneEndpoint?: { host: string; port: number };
  };
  status?: {
    phase?: string;
    conditions?: ClusterCondition[];
    kubernetesVersion?: string;
    nodes?: { total?: number; ready?: number };
    lastHeartbeatTime?: string;
  };
}
