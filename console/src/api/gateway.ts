// The gateway's own endpoints: sessions and fleet membership.
import { CLUSTERS_PATH, type Cluster } from "./cluster";
import { request } from "./http";

export interface Session {
  username: string;
  groups: string[];
  expirationTimestamp: string;
}

const SESSIONS = "/auth/v1/sessions";
const FLEET = "/platform/fleet.cpaas.io/v1";

/** The answer also holds a bearer token meant for command lines. It is dropped here: the cookie is all we need. */
export async function signIn(username: string, password: string): Promise<Session> {
  const answer = await request<Session>("POST", SESSIONS, { body: { username, password }, signingIn: true });
  return { username: answer.username, groups: answer.groups, expirationTimestamp: answer.expirationTimestamp };
}

export function currentSession(): Promise<Session> {
  return request("GET", `${SESSIONS}/current`, { signingIn: true });
}

export function signOut(): Promise<void> {
  return request("DELETE", `${SESSIONS}/current`, { signingIn: true });
}

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

export function removeCluster(name: string): Promise<unknown> {
  return request("DELETE", `${CLUSTERS_PATH}/${encodeURIComponent(name)}`);
}
