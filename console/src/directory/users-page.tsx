import { Outlet } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useProviderName } from "../lib/provider-name";
import { useList } from "../shell/kind";
import { ListPage } from "../shell/list-page";
import { Button } from "../ui/button";
import { Select } from "../ui/field";
import { FilterChips } from "../ui/filter-chips";
import { USER_STATES, type UserFilters, type UserState, type UserView } from "./model";
import { userStateLooks } from "./state-badge";
import { UserActionContext, type UserAction } from "./user-actions";
import { CreateUserDialog, UserDialog } from "./user-dialogs";
import { userKind } from "./user-listing";

type Open = { action: UserAction; view: UserView } | { action: "create" } | undefined;

export function UsersPage() {
  const { t } = useTranslation();
  const list = useList(userKind);
  const { views, query, change } = list;
  const [open, setOpen] = useState<Open>();
  const act = useCallback((action: UserAction, view: UserView) => setOpen({ action, view }), []);
  const close = () => setOpen(undefined);
  return (
    <UserActionContext value={act}>
      <ListPage
        kind={userKind}
        list={list}
        chips={views && <Filters views={views} query={query} onState={(state) => change({ state })} onProvider={(provider) => change({ provider })} />}
        actions={
          <Button look="solid" onClick={() => setOpen({ action: "create" })}>
            {t("users.create")}
          </Button>
        }
      />
      <Outlet />
      {open?.action === "create" && <CreateUserDialog onClose={close} />}
      {open && open.action !== "create" && <UserDialog key={open.action} action={open.action} view={open.view} onClose={close} />}
    </UserActionContext>
  );
}

interface FiltersProps {
  views: readonly UserView[];
  query: UserFilters;
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
