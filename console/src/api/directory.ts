// People, groups, where they come from, and the rules for all of them: objects of the hub.
import { request } from "./http";
import type { Validation } from "./validation";

const AUTH = "/kubernetes/global/apis/auth.alauda.io/v1";
export const USERS_PATH = `${AUTH}/users`;
export const GROUPS_PATH = `${AUTH}/groups`;
export const POLICY_PATH = `${AUTH}/securitypolicies/platform`;
export const CONNECTORS_PATH = "/kubernetes/global/apis/dex.coreos.com/v1/namespaces/cpaas-system/connectors";

interface Metadata {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  creationTimestamp?: string;
  deletionTimestamp?: string;
}

export interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

export interface User {
  metadata: Metadata;
  spec?: {
    username?: string;
    email?: string;
    account?: string;
    connector_id?: string;
    connector_name?: string;
    connector_type?: string;
    is_admin?: boolean;
    is_disabled?: boolean;
    groups?: string[];
    expired?: { begin?: string; end?: string };
    mobile?: string;
    last_login_time?: string;
  };
  status?: {
    state?: string;
    reason?: string;
    message?: string;
    since?: string;
    lockedUntil?: string;
    lastLoginTime?: string;
    secondFactor?: boolean;
    mustChangePassword?: boolean;
  };
}

export interface Group {
  metadata: Metadata;
  spec?: { displayName?: string; name?: string; users?: string[]; refConnector?: string };
}

export type ConnectorConfig = Record<string, unknown>;

export interface Connector {
  metadata: Metadata;
  id?: string;
  name?: string;
  type?: string;
  spec?: { config?: ConnectorConfig; disabled?: boolean; sync?: { schedule?: string } };
  status?: { conditions?: Condition[] };
}

export interface SecurityPolicySpec {
  password: { minLength: number; maxLength: number; history: number; maxAgeDays: number };
  lock: { failures: number; windowHours: number; minutes: number };
  inactivityDays: number;
  secondFactor: "Off" | "Optional" | "Required";
  sessions: { lifetimeHours: number; idleMinutes: number; maxOnlineUsers: number; singlePerClient: boolean; endWithTab: boolean };
  accessTokens: { maxDays: number };
}

export interface SecurityPolicy {
  metadata: Metadata;
  spec?: DeepPartial<SecurityPolicySpec>;
}

type DeepPartial<T> = { [K in keyof T]?: T[K] extends object ? DeepPartial<T[K]> : T[K] };

// ---- people --------------------------------------------------------------------------------

const USERS = "/auth/v1/users";
const userPath = (name: string, verb = "") => `${USERS}/${encodeURIComponent(name)}${verb}`;

export interface NewUser {
  username: string;
  email: string;
  displayName?: string;
  password?: string;
  groups?: string[];
  is_admin?: boolean;
}

/** The password is in the answer once, when none was chosen. */
export const createUser = (body: NewUser): Promise<User & { password?: string }> => request("POST", USERS, { body });
export const patchUser = (name: string, spec: Record<string, unknown>): Promise<User> => request("PATCH", userPath(name), { body: { spec } });
export const deleteUser = (name: string): Promise<unknown> => request("DELETE", userPath(name));
export const disableUser = (name: string, reason: string): Promise<User> => request("POST", userPath(name, "/disable"), { body: reason ? { reason } : {} });
export const enableUser = (name: string): Promise<User> => request("POST", userPath(name, "/enable"), { body: {} });
export const unlockUser = (name: string): Promise<User> => request("POST", userPath(name, "/unlock"), { body: {} });
export const resetPassword = (name: string): Promise<{ password: string }> => request("POST", userPath(name, "/password"), { body: {} });
export const removeSecondFactor = (name: string): Promise<void> => request("DELETE", userPath(name, "/totp"));

// ---- groups --------------------------------------------------------------------------------

const MERGE_PATCH = "application/merge-patch+json";
const groupPath = (name: string) => `${GROUPS_PATH}/${encodeURIComponent(name)}`;

export const createGroup = (name: string, spec: Group["spec"]): Promise<Group> =>
  request("POST", GROUPS_PATH, { body: { apiVersion: "auth.alauda.io/v1", kind: "Group", metadata: { name }, spec } });

/** With the version that was read: two who change the members at once must not undo each other. */
export const patchGroup = (group: Group, spec: Group["spec"]): Promise<Group> => {
  const { name, resourceVersion } = group.metadata;
  return request("PATCH", groupPath(name), { body: { metadata: { resourceVersion }, spec }, contentType: MERGE_PATCH });
};
export const deleteGroup = (name: string): Promise<unknown> => request("DELETE", groupPath(name));

// ---- identity providers --------------------------------------------------------------------

export type ConnectorType = "ldap" | "oidc" | "saml";

export interface ConnectorDraft {
  id: string;
  name: string;
  type: ConnectorType;
  spec: NonNullable<Connector["spec"]>;
}

const connectorPath = (name: string) => `${CONNECTORS_PATH}/${encodeURIComponent(name)}`;

export const createConnector = ({ id, name, type, spec }: ConnectorDraft): Promise<Connector> =>
  request("POST", CONNECTORS_PATH, { body: { apiVersion: "dex.coreos.com/v1", kind: "Connector", metadata: { name: id, namespace: "cpaas-system" }, id, name, type, spec } });

export const patchConnector = (object: string, change: { name?: string; spec: Record<string, unknown> }): Promise<Connector> =>
  request("PATCH", connectorPath(object), { body: change, contentType: MERGE_PATCH });

export const deleteConnector = (object: string): Promise<unknown> => request("DELETE", connectorPath(object));

export const syncConnector = (id: string): Promise<unknown> => request("POST", `/auth/v1/connectors/${encodeURIComponent(id)}/sync`, { body: {} });

export const validateConnector = (connector: ConnectorDraft, account: { username: string; password: string } | undefined, signal: AbortSignal): Promise<Validation> =>
  request("POST", "/auth/v1/connectors/validate", { body: { connector, ...account }, signal });

// ---- policy --------------------------------------------------------------------------------

export const readPolicy = (): Promise<SecurityPolicy> => request("GET", POLICY_PATH);
export const patchPolicy = (spec: object): Promise<SecurityPolicy> => request("PATCH", POLICY_PATH, { body: { spec }, contentType: MERGE_PATCH });
export const createPolicy = (spec: object): Promise<SecurityPolicy> =>
  request("POST", `${AUTH}/securitypolicies`, { body: { apiVersion: "auth.alauda.io/v1", kind: "SecurityPolicy", metadata: { name: "platform" }, spec } });
