// One kind of object as its pages show it: a list, and a drawer beside it. What is the same for all kinds is here and in
// `list-page.tsx` and `object-drawer.tsx`; a page adds its dialogs.
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import type { ParseKeys } from "i18next";
import type { LucideIcon } from "lucide-react";
import { useCallback, useDeferredValue, useMemo } from "react";
import type { Snapshot, WatchedObject, WatchStore } from "../api/watch-store";
import type { Query } from "../lib/select";
import type { Listing, Row } from "../ui/object-table";
import { useShell, useStore, type Stores } from "./context";

export interface Right {
  verbs: string;
  resource: string;
  namespace?: string;
}

export type ListWord = "title" | "count" | "filter" | "failed" | "filtered" | "forbidden" | "none" | "noneDetail" | "missing" | "unread";

/** The part of an address that names a kind. */
export type KindPath = "clusters" | "users" | "groups" | "providers" | "projects" | "bindings" | "roles";

export interface Kind<Item extends WatchedObject, View extends Row, Key extends string, Filters extends object = object> {
  path: KindPath;
  store: keyof Stores;
  icon: LucideIcon;
  words: Record<ListWord, ParseKeys>;
  headings: Record<Key, ParseKeys>;
  /** What a reader needs to see the list. */
  right: Right;
  /** Shows the list, and makes the first object. */
  commands: { list: string; create: string };
  listing: Listing<View, Key>;
  view: (item: Item) => View;
  /** Items of another store that are listed with these. */
  also?: readonly Item[];
  select: (views: readonly View[], query: Query<Key> & Filters) => View[];
}

/** The rules of a kind's address: a filter, an order, and what else it is filtered by. */
export type Search<Key extends string, Filters extends object = object> = { q?: string; sort?: Key | `-${Key}` } & Filters;

export interface List<View, Key extends string, Filters extends object> {
  snapshot: Snapshot<unknown>;
  retry: () => void;
  /** Undefined until the first list has arrived. */
  views: readonly View[] | undefined;
  rows: readonly View[] | undefined;
  query: Query<Key> & Filters;
  /** The name of what the drawer shows. */
  selected: string | undefined;
  change: (next: { [Name in keyof Search<Key, Filters>]?: Search<Key, Filters>[Name] | undefined }) => void;
  sortBy: (key: Key) => void;
  /** Shows everything again, in the same order. */
  clear: () => void;
  open: (name: string) => void;
}

function useItems<Item extends WatchedObject>(store: keyof Stores): { snapshot: Snapshot<Item>; retry: () => void } {
  // Which store holds which kind is said by the kind.
  const found = useShell()[store] as unknown as WatchStore<Item>;
  return { snapshot: useStore(found), retry: found.retry };
}

export function useList<Item extends WatchedObject, View extends Row, Key extends string, Filters extends object>(kind: Kind<Item, View, Key, Filters>): List<View, Key, Filters> {
  const navigate = useNavigate();
  const found: object = useSearch({ strict: false });
  const search = found as Search<Key, Filters>;
  const { name: selected } = useParams({ strict: false });
  const { snapshot, retry } = useItems<Item>(kind.store);
  const { items } = snapshot;
  const first = kind.listing.columns[0].key;
  const query = useMemo(() => {
    const { q = "", sort = first } = search;
    return { ...search, q, sort: sort.replace("-", "") as Key, descending: sort.startsWith("-") };
  }, [search, first]);
  const wanted = useDeferredValue(query);
  const views = useMemo(() => items && [...items, ...(kind.also ?? [])].map(kind.view), [items, kind]);
  const rows = useMemo(() => views && kind.select(views, wanted), [views, wanted, kind]);
  const change: List<View, Key, Filters>["change"] = (next) => {
    const changed = (old: object) => Object.fromEntries(Object.entries({ ...old, ...next }).filter(([, value]) => value));
    void navigate({ to: ".", replace: true, search: changed as never });
  };
  const { sort, descending } = query;
  return {
    snapshot,
    retry,
    views,
    rows,
    query,
    selected,
    change,
    sortBy: (key) => change({ sort: sort === key && !descending ? (`-${key}` as const) : key === first ? undefined : key } as Parameters<typeof change>[0]),
    clear: () => void navigate({ to: ".", replace: true, search: (search.sort ? { sort: search.sort } : {}) as never }),
    open: useCallback((name) => void navigate({ to: `/${kind.path}/$name`, params: { name }, search: true }), [navigate, kind]),
  };
}

/** The object that the drawer's address names. */
export function useSelected<Item extends WatchedObject, View extends Row>(kind: Pick<Kind<Item, View, string>, "store" | "view" | "also">) {
  const { name = "" } = useParams({ strict: false });
  const { items, error } = useItems<Item>(kind.store).snapshot;
  const view = items && [...items, ...(kind.also ?? [])].map(kind.view).find((each) => each.name === name);
  return { name, view, listed: items !== undefined, error };
}
