import { Outlet, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { UserRound } from "lucide-react";
import { useCallback, useDeferredValue, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { CREATE_USER_COMMAND, USERS_COMMAND } from "../lib/commands";
import { useProviderName } from "../lib/provider-name";
import { useShell, useStore } from "../shell/context";
import { ListPage } from "../shell/list-page";
import type { UserSearch } from "../shell/search";
import { Button } from "../ui/button";
import { Select } from "../ui/field";
import { FilterChips } from "../ui/filter-chips";
import { Empty } from "../ui/message";
import { Terminal } from "../ui/panel";
import { selectUsers, USER_STATES, userView, type UserQuery, type UserSortKey, type UserState, type UserView } from "./model";
import { userStateLooks } from "./state-badge";
import { UserActionContext, type UserAction } from "./user-actions";
import { CreateUserDialog, UserDialog } from "./user-dialogs";
import { userListing } from "./user-listing";

const RIGHT = { verbs: "list, watch", resource: "users.auth.alauda.io" };

function toQuery(search: UserSearch): UserQuery {
  return {
    q: search.q ?? "",
    state: search.state,
    provider: search.provider,
    sort: (search.sort?.replace("-", "") ?? "user") as UserSortKey,
    descending: search.sort?.startsWith("-") ?? false,
  };
}

type Open = { action: UserAction; view: UserView } | { action: "create" } | undefined;

export function UsersPage() {
  const { t } = useTranslation();
  const navigate = useNavigate({ from: "/users" });
  const search = useSearch({ from: "/users" });
  const { name: selected } = useParams({ strict: false });
  const { users } = useShell();
  const snapshot = useStore(users);
  const { items } = snapshot;
  const [open, setOpen] = useState<Open>();

  const query = useMemo(() => toQuery(search), [search]);
  const deferredQuery = useDeferredValue(query);
  const views = useMemo(() => items?.map(userView), [items]);
  const rows = useMemo(() => views && selectUsers(views, deferredQuery), [views, deferredQuery]);
  const act = useCallback((action: UserAction, view: UserView) => setOpen({ action, view }), []);
  const show = useCallback((name: string) => void navigate({ to: "/users/$name", params: { name }, search: true }), [navigate]);
  const change = (next: { [Key in keyof UserSearch]?: UserSearch[Key] | undefined }) =>
    void navigate({ to: ".", replace: true, search: (old) => Object.fromEntries(Object.entries({ ...old, ...next }).filter(([, value]) => value)) as UserSearch });
  const close = () => setOpen(undefined);
  return (
    <UserActionContext value={act}>
      <ListPage
        words={{
          title: t("users.title"),
          count: t("users.count", { count: views?.length ?? 0 }),
          filter: t("users.filter"),
          failed: t("users.failed"),
          filtered: t("users.filtered"),
          forbidden: t("users.forbidden"),
        }}
        icon={UserRound}
        snapshot={snapshot}
        onRetry={users.retry}
        views={views}
        rows={rows}
        listing={userListing}
        heading={(key) => t(`users.column.${key}`)}
        sorting={query}
        onSort={(key) => change({ sort: query.sort === key && !query.descending ? `-${key}` : key === "user" ? undefined : key })}
        onOpen={show}
        selected={selected}
        selectedTitle={views?.find(({ name }) => name === selected)?.title}
        q={search.q ?? ""}
        onSearch={(q) => change({ q })}
        onClear={() => change({ q: undefined, state: undefined, provider: undefined })}
        chips={views && <Filters views={views} query={query} onState={(state) => change({ state })} onProvider={(provider) => change({ provider })} />}
        actions={
          <Button look="solid" onClick={() => setOpen({ action: "create" })}>
            {t("users.create")}
          </Button>
        }
        none={
          <Empty
            icon={UserRound}
            title={t("users.none")}
            actions={
              <Button look="solid" onClick={() => setOpen({ action: "create" })}>
                {t("users.create")}
              </Button>
            }
          >
            <p>{t("users.noneDetail")}</p>
            <div className="mt-4 text-left">
              <Terminal command={CREATE_USER_COMMAND} />
            </div>
          </Empty>
        }
        right={RIGHT}
        command={USERS_COMMAND}
      />
      <Outlet />
      {open?.action === "create" && <CreateUserDialog onClose={close} />}
      {open && open.action !== "create" && <UserDialog key={open.action} action={open.action} view={open.view} onClose={close} />}
    </UserActionContext>
  );
}

interface FiltersProps {
  views: readonly UserView[];
  query: UserQuery;
  onState: (state: UserState | undefined) => void;
  onProvider: (provider: string | undefined) => void;
}

function Filters({ views, query, onState, onProvider }: FiltersProps) {
  const { t } = useTranslation();
  const providerName = useProviderName();
  const { counts, providers } = useMemo(() => {
    const counted = new Map<UserState, number>();
    const known = new Map<string, string>();
    for (const view of views) {
      counted.set(view.state, (counted.get(view.state) ?? 0) + 1);
      known.set(view.provider.id, view.provider.name);
    }
    return { counts: counted, providers: [...known] };
  }, [views]);
  return (
    <>
      {(providers.length > 1 || query.provider !== undefined) && (
        <Select
          aria-label={t("users.byProvider")}
          className="h-8! w-auto! max-w-full text-table"
          value={query.provider ?? ""}
          onChange={(event) => onProvider(event.target.value || undefined)}
        >
          <option value="">{t("users.anyProvider")}</option>
          {query.provider !== undefined && !providers.some(([id]) => id === query.provider) && <option value={query.provider}>{query.provider}</option>}
          {providers.map(([id, name]) => (
            <option key={id} value={id}>
              {providerName({ id, name })}
            </option>
          ))}
        </Select>
      )}
      <FilterChips
        label={t("users.byState")}
        value={query.state}
        onChange={onState}
        options={USER_STATES.toReversed()
          .filter((known) => counts.has(known) || known === query.state)
          .map((known) => ({ value: known, label: t(`userState.${known}`), count: counts.get(known) ?? 0, ...userStateLooks[known] }))}
      />
    </>
  );
}
