// The gateway's own endpoints of fleet membership.
import type { Cluster } from "./cluster";
import { request } from "./http";

const FLEET = "/platform/fleet.cpaas.io/v1";

export interface ImportRequest {
  name: string;
  displayName?: string;
  kubeconfig?: string;
  server?: string;
  caData?: string;
  token?: string;
}

export interface Connectivity {
  serverReachable: boolean;
  version?: string;
  nodes?: number;
}

export function checkImport(body: ImportRequest, signal: AbortSignal): Promise<Connectivity> {
  return request("POST", `${FLEET}/imports?dryRun=true`, { body, signal });
}

export function importCluster(body: ImportRequest): Promise<Cluster> {
  return request("POST", `${FLEET}/imports?dryRun=false`, { body });
}

/** Which versions of Kubernetes which release of the platform works with. */
export interface SupportMatrix {
  current: string;
  releases: readonly { version: string; thirdParty?: { from: string; below: string } }[];
}

export function supportMatrix(signal: AbortSignal): Promise<SupportMatrix> {
  return request("GET", `${FLEET}/support-matrix`, { signal });
}

export interface Registration {
  name: string;
  token: string;
  expirationTimestamp: string;
  command: string;
  manifest: string;
}

export function registerCluster(body: { name: string; displayName?: string }): Promise<Registration> {
  return request("POST", `${FLEET}/registrations`, { body });
}

/** `confirm` is the name as it was typed; with `force` the cluster is forgotten without being asked. */
export function removeCluster(body: { name: string; confirm: string; uid?: string; force: boolean }): Promise<unknown> {
  return request("POST", `${FLEET}/removals`, { body });
}
