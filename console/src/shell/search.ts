// What the search part of an address may hold. Anything unknown in it is dropped.
import { HEALTHS, SORT_KEYS, type Filters, type SortKey } from "../clusters/model";
import { GROUP_KEYS, PROVIDER_KEYS, USER_SORT_KEYS, USER_STATES, type GroupKey, type ProviderKey, type UserFilters, type UserSortKey } from "../directory/model";
import {
  BINDING_KEYS,
  LEVELS,
  PROJECT_KEYS,
  PROJECT_STATES,
  ROLE_KEYS,
  SEARCH_KEYS,
  type BindingFilters,
  type BindingKey,
  type ProjectFilters,
  type ProjectKey,
  type RoleFilters,
  type RoleKey,
  type SearchText,
} from "../tenancy/keys";
import type { QuestionText } from "../tenancy/question";
import type { Search } from "./kind";

type Raw = Record<string, unknown>;

const text = (value: unknown): string | undefined => ((typeof value === "string" || typeof value === "number") && value !== "" ? String(value) : undefined);

function sorting<Key extends string>(value: unknown, keys: readonly Key[]): Key | `-${Key}` | undefined {
  const sort = keys.flatMap((key) => [key, `-${key}`] as const).find((known) => known === value);
  return sort === keys[0] ? undefined : sort;
}

/** Keeps what is there: absent parts must not appear in the address. */
function present<T extends object>(values: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}

export const clusterSearch = (raw: Raw): Search<SortKey, Filters> =>
  present<Search<SortKey, Filters>>({ q: text(raw.q), health: HEALTHS.find((known) => known === raw.health), sort: sorting(raw.sort, SORT_KEYS) });

export const userSearch = (raw: Raw): Search<UserSortKey, UserFilters> =>
  present<Search<UserSortKey, UserFilters>>({
    q: text(raw.q),
    state: USER_STATES.find((known) => known === raw.state),
    provider: text(raw.provider),
    sort: sorting(raw.sort, USER_SORT_KEYS),
  });

export const groupSearch = (raw: Raw): Search<GroupKey> => present<Search<GroupKey>>({ q: text(raw.q), sort: sorting(raw.sort, GROUP_KEYS) });
export const providerSearch = (raw: Raw): Search<ProviderKey> => present<Search<ProviderKey>>({ q: text(raw.q), sort: sorting(raw.sort, PROVIDER_KEYS) });

export const roleSearch = (raw: Raw): Search<RoleKey, RoleFilters> =>
  present<Search<RoleKey, RoleFilters>>({ q: text(raw.q), level: LEVELS.find((known) => known === raw.level), sort: sorting(raw.sort, ROLE_KEYS) });

export const projectSearch = (raw: Raw): Search<ProjectKey, ProjectFilters> =>
  present<Search<ProjectKey, ProjectFilters>>({ q: text(raw.q), state: PROJECT_STATES.find((known) => known === raw.state), sort: sorting(raw.sort, PROJECT_KEYS) });

export const bindingSearch = (raw: Raw): Search<BindingKey, BindingFilters> =>
  present<Search<BindingKey, BindingFilters>>({
    q: text(raw.q),
    level: LEVELS.find((known) => known === raw.level),
    project: text(raw.project),
    cluster: text(raw.cluster),
    kind: (["User", "Group"] as const).find((known) => known === raw.kind),
    sort: sorting(raw.sort, BINDING_KEYS),
  });

export const questionSearch = (raw: Raw): QuestionText =>
  present<QuestionText>({ user: text(raw.user), groups: text(raw.groups), verb: text(raw.verb), resource: text(raw.resource), name: text(raw.name), namespace: text(raw.namespace), cluster: text(raw.cluster), who: raw.who === true ? true : undefined });

export const fleetSearch = (raw: Raw): SearchText =>
  present<SearchText>({
    q: text(raw.q),
    kind: text(raw.kind),
    cluster: text(raw.cluster),
    project: text(raw.project),
    namespace: text(raw.namespace),
    label: text(raw.label),
    image: text(raw.image),
    sort: sorting(raw.sort, SEARCH_KEYS),
  });
