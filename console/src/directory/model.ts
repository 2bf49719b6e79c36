// What the pages show of users, groups and identity providers, decided in one place.
//
// Identity providers report parts of these objects, so values of a wrong type count as absent.
import type { Condition, Connector, Group, User } from "../api/directory";
import { memoized, text, texts, time } from "../lib/reading";
import { order, selectRows, type Query } from "../lib/select";

export const USER_STATES = ["Locked", "Disabled", "Invalid", "Normal"] as const;
export type UserState = (typeof USER_STATES)[number];

export interface UserView {
  /** The object's name, which is a hash. */
  name: string;
  /** What people call the user. */
  title: string;
  username: string;
  email: string | undefined;
  displayName: string | undefined;
  provider: { id: string; name: string };
  local: boolean;
  admin: boolean;
  groups: readonly string[];
  state: UserState;
  reason: string | undefined;
  message: string | undefined;
  since: number | undefined;
  lockedUntil: number | undefined;
  secondFactor: boolean;
  mustChangePassword: boolean;
  lastSignIn: number | undefined;
  created: number | undefined;
  begin: string | undefined;
  end: string | undefined;
}

export const userView = memoized(({ metadata, spec = {}, status = {} }: User): UserView => {
  const email = text(spec.email);
  const username = text(spec.username) ?? email ?? metadata.name;
  const id = text(spec.connector_id) ?? "local";
  return {
    name: metadata.name,
    title: username,
    username,
    email,
    displayName: text(spec.account) === username ? undefined : text(spec.account),
    provider: { id, name: text(spec.connector_name) ?? id },
    local: (spec.connector_type ?? "local") === "local",
    admin: spec.is_admin === true,
    groups: texts(spec.groups),
    state: USER_STATES.find((known) => known === status.state) ?? (spec.is_disabled === true ? "Disabled" : "Normal"),
    reason: text(status.reason),
    message: text(status.message),
    since: time(status.since),
    lockedUntil: time(status.lockedUntil),
    secondFactor: status.secondFactor === true,
    mustChangePassword: status.mustChangePassword === true,
    lastSignIn: time(status.lastLoginTime) ?? time(spec.last_login_time),
    created: time(metadata.creationTimestamp),
    begin: text(spec.expired?.begin),
    end: text(spec.expired?.end),
  };
});

export const USER_SORT_KEYS = ["user", "provider", "groups", "state", "secondFactor", "lastSignIn", "created"] as const;
export type UserSortKey = (typeof USER_SORT_KEYS)[number];

export interface UserFilters {
  state?: UserState | undefined;
  provider?: string | undefined;
}

const byUsername = (a: UserView, b: UserView) => order.compare(a.username, b.username);

export function selectUsers(all: readonly UserView[], query: Query<UserSortKey> & UserFilters): UserView[] {
  const rows = all.filter((view) => (query.state === undefined || view.state === query.state) && (query.provider === undefined || view.provider.id === query.provider));
  return selectRows(rows, query, {
    words: ({ username, email, displayName, groups }) => [username, email, displayName, ...groups],
    orders: {
      user: byUsername,
      provider: (a, b) => order.compare(a.provider.name, b.provider.name),
      groups: (a, b) => order.compare(a.groups.join(), b.groups.join()),
      state: (a, b) => USER_STATES.indexOf(a.state) - USER_STATES.indexOf(b.state),
      secondFactor: (a, b) => Number(b.secondFactor) - Number(a.secondFactor),
      lastSignIn: (a, b) => (b.lastSignIn ?? 0) - (a.lastSignIn ?? 0),
      created: (a, b) => (b.created ?? 0) - (a.created ?? 0),
    },
    tie: byUsername,
  });
}

const byTitle = (a: { title: string }, b: { title: string }) => order.compare(a.title, b.title);

// ---- groups --------------------------------------------------------------------------------

export interface GroupView {
  name: string;
  title: string;
  displayName: string | undefined;
  members: readonly string[];
  /** The identity provider it is synced from; such a group is not edited here. */
  connector: string | undefined;
  /** Nobody syncs it, or nobody any more: the provider is gone. */
  deletable: boolean;
  created: number | undefined;
  object: Group;
}

const groupView = memoized((object: Group): GroupView => {
  const displayName = text(object.spec?.displayName);
  const connector = text(object.spec?.refConnector);
  return {
    name: object.metadata.name,
    title: displayName ?? object.metadata.name,
    displayName: displayName === object.metadata.name ? undefined : displayName,
    members: texts(object.spec?.users),
    connector,
    deletable: connector === undefined,
    created: time(object.metadata.creationTimestamp),
    object,
  };
});

/** Groups with what other objects say of them: who is in a provider's group stands with the users, for it says it of each. */
export function groupViews(users: readonly User[] | undefined, connectors: readonly Connector[] | undefined): (group: Group) => GroupView {
  const members = new Map<string, string[]>();
  for (const { groups, provider, email, name } of (users ?? []).map(userView))
    for (const group of groups) {
      const key = groupKey(provider.id, group);
      const known = members.get(key);
      if (known) known.push(email ?? name);
      else members.set(key, [email ?? name]);
    }
  const providers = connectors && new Set(connectors.map((connector) => providerView(connector).id));
  return memoized((group) => {
    const view = groupView(group);
    const { connector } = view;
    if (connector === undefined) return view;
    return { ...view, members: members.get(groupKey(connector, view.title)) ?? view.members, deletable: providers !== undefined && !providers.has(connector) };
  });
}

const groupKey = (provider: string, group: string): string => JSON.stringify([provider, group]);

export const GROUP_KEYS = ["group", "members", "source", "created"] as const;
export type GroupKey = (typeof GROUP_KEYS)[number];

export const selectGroups = (all: readonly GroupView[], query: Query<GroupKey>): GroupView[] =>
  selectRows(all, query, {
    words: ({ name, title, connector, members }) => [name, title, connector, ...members],
    orders: {
      group: byTitle,
      members: (a, b) => a.members.length - b.members.length,
      source: (a, b) => order.compare(a.connector ?? "", b.connector ?? ""),
      created: (a, b) => (b.created ?? 0) - (a.created ?? 0),
    },
    tie: byTitle,
  });

// ---- identity providers --------------------------------------------------------------------

export const PROVIDER_STATES = ["failing", "disabled", "waiting", "ready"] as const;
export type ProviderState = (typeof PROVIDER_STATES)[number];
export const CONNECTOR_TYPES = ["ldap", "oidc", "saml"] as const;

export interface ProviderView {
  name: string;
  id: string;
  title: string;
  type: string;
  state: ProviderState;
  reason: string | undefined;
  conditions: readonly Condition[];
  synced: Condition | undefined;
  schedule: string | undefined;
  created: number | undefined;
  object: Connector;
}

export const providerView = memoized((object: Connector): ProviderView => {
  const id = text(object.id) ?? object.metadata.name;
  const conditions = (Array.isArray(object.status?.conditions) ? object.status.conditions : []).filter((condition) => text(condition?.type) !== undefined);
  const ready = conditions.find(({ type }) => type === "Ready");
  const broken = conditions.find(({ status }) => status === "False");
  const disabled = object.spec?.disabled === true;
  return {
    name: object.metadata.name,
    id,
    title: text(object.name) ?? id,
    type: text(object.type) ?? "",
    state: disabled ? "disabled" : broken ? "failing" : ready?.status === "True" ? "ready" : "waiting",
    reason: disabled ? undefined : (text(broken?.reason) ?? text(broken?.message)),
    conditions,
    synced: conditions.find(({ type }) => type === "Synced"),
    schedule: text(object.spec?.sync?.schedule),
    created: time(object.metadata.creationTimestamp),
    object,
  };
});

export const PROVIDER_KEYS = ["provider", "type", "state", "synced"] as const;
export type ProviderKey = (typeof PROVIDER_KEYS)[number];

export const selectProviders = (all: readonly ProviderView[], query: Query<ProviderKey>): ProviderView[] =>
  selectRows(all, query, {
    words: ({ name, title, id, type }) => [name, title, id, type],
    orders: {
      provider: byTitle,
      type: (a, b) => order.compare(a.type, b.type),
      state: (a, b) => PROVIDER_STATES.indexOf(a.state) - PROVIDER_STATES.indexOf(b.state),
      synced: (a, b) => syncedAt(b) - syncedAt(a),
    },
    tie: byTitle,
  });

const syncedAt = ({ synced }: ProviderView): number => time(synced?.lastTransitionTime) ?? 0;
