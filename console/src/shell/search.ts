// What the search part of an address may hold. Anything unknown in it is dropped.
import { HEALTHS, SORT_KEYS, type Health, type SortKey } from "../clusters/model";
import { USER_SORT_KEYS, USER_STATES, type UserSortKey, type UserState } from "../directory/model";

export interface ClusterSearch {
  q?: string;
  health?: Health;
  sort?: SortKey | `-${SortKey}`;
}

export interface UserSearch {
  q?: string;
  state?: UserState;
  provider?: string;
  sort?: UserSortKey | `-${UserSortKey}`;
}

/** The filter of lists that are short. */
export interface PlainSearch {
  q?: string;
  sort?: "-name";
}

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

export const clusterSearch = (raw: Raw): ClusterSearch =>
  present<ClusterSearch>({ q: text(raw.q), health: HEALTHS.find((known) => known === raw.health), sort: sorting(raw.sort, SORT_KEYS) });

export const userSearch = (raw: Raw): UserSearch =>
  present<UserSearch>({
    q: text(raw.q),
    state: USER_STATES.find((known) => known === raw.state),
    provider: text(raw.provider),
    sort: sorting(raw.sort, USER_SORT_KEYS),
  });

export const plainSearch = (raw: Raw): PlainSearch => present<PlainSearch>({ q: text(raw.q), sort: raw.sort === "-name" ? "-name" : undefined });
