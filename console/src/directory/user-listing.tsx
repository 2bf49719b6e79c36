// How users are listed.
import { ShieldCheck, UserRound } from "lucide-react";
import { use } from "react";
import { useTranslation } from "react-i18next";
import type { User } from "../api/directory";
import { CREATE_USER_COMMAND, USERS_COMMAND } from "../lib/commands";
import { useProviderName } from "../lib/provider-name";
import { useShell } from "../shell/context";
import type { Kind } from "../shell/kind";
import { Created, OpenItem, RowLink } from "../shell/rows";
import { MenuItem, MenuSeparator } from "../ui/menu";
import type { Listing } from "../ui/object-table";
import { RowCard } from "../ui/row-card";
import { Absent, Changing, Chip, Since } from "../ui/values";
import { selectUsers, userView, type UserFilters, type UserSortKey, type UserView } from "./model";
import { UserStateBadge, useReason } from "./state-badge";
import { actionsFor, UserActionContext } from "./user-actions";

type Props = { view: UserView };

const listing: Listing<UserView, UserSortKey> = {
  columns: [
    { key: "user", className: "", Cell: Name },
    { key: "provider", className: "w-28 @max-3xl:hidden", Cell: Provider },
    { key: "groups", className: "w-36 @max-5xl:hidden", Cell: Groups },
    { key: "state", className: "", Cell: State },
    { key: "secondFactor", className: "w-37 @max-4xl:hidden", Cell: SecondFactor },
    { key: "lastSignIn", className: "w-33 @max-2xl:hidden", Cell: LastSignIn },
    { key: "created", className: "w-28 @max-4xl:hidden", Cell: Created },
  ],
  MenuItems,
  Card,
};

export const userKind: Kind<User, UserView, UserSortKey, UserFilters> = {
  path: "users",
  store: "users",
  icon: UserRound,
  words: { title: "users.title", count: "users.count", filter: "users.filter", failed: "users.failed", filtered: "users.filtered", forbidden: "users.forbidden", none: "users.none", noneDetail: "users.noneDetail", missing: "users.missing", unread: "users.failed" },
  headings: { user: "users.column.user", provider: "users.column.provider", groups: "users.column.groups", state: "users.column.state", secondFactor: "users.column.secondFactor", lastSignIn: "users.column.lastSignIn", created: "users.column.created" },
  right: { verbs: "list, watch", resource: "users.auth.alauda.io" },
  commands: { list: USERS_COMMAND, create: CREATE_USER_COMMAND },
  listing: listing,
  view: userView,
  select: selectUsers,
};

function UserLink({ view }: Props) {
  const { t } = useTranslation();
  return (
    <span className="flex min-w-0 items-center gap-2">
      <RowLink path="users" view={view} />
      {view.admin && <Chip>{t("users.admin")}</Chip>}
    </span>
  );
}

function Name({ view }: Props) {
  return (
    <>
      <UserLink view={view} />
      {view.displayName && <span className="block truncate text-caption text-ink-faint">{view.displayName}</span>}
    </>
  );
}

function Provider({ view }: Props) {
  const providerName = useProviderName();
  return <span className="block truncate text-ink-soft">{providerName(view.provider)}</span>;
}

function Groups({ view }: Props) {
  if (view.groups.length === 0) return <Absent />;
  const words = view.groups.join(", ");
  return (
    <span className="block truncate text-ink-soft" title={words}>
      {words}
    </span>
  );
}

function State({ view }: Props) {
  const { t } = useTranslation();
  const reason = useReason();
  const more = reason(view)?.replace(/[.。]$/, "") ?? (view.mustChangePassword ? t("users.mustChange") : undefined);
  return (
    <span className="flex min-w-0 items-center gap-x-2 @max-3xl:flex-col @max-3xl:items-start">
      <Changing value={view.state}>
        <UserStateBadge state={view.state} />
      </Changing>
      {more && (
        <span className="max-w-full truncate text-caption text-ink-faint" title={view.message ?? more}>
          {more}
        </span>
      )}
    </span>
  );
}

export function SecondFactor({ view }: Props) {
  const { t } = useTranslation();
  if (!view.secondFactor) return <Absent />;
  return (
    <span className="inline-flex items-center gap-1.5 align-middle whitespace-nowrap text-ink-soft">
      <ShieldCheck className="size-4 shrink-0 text-good" strokeWidth={1.5} aria-hidden />
      {t("users.on")}
    </span>
  );
}

function LastSignIn({ view }: Props) {
  const { t } = useTranslation();
  if (view.lastSignIn === undefined) return <span className="text-ink-faint">{t("age.never")}</span>;
  return (
    <span className="whitespace-nowrap text-ink-soft" title={t("users.column.lastSignIn")}>
      <Since time={view.lastSignIn} />
    </span>
  );
}

function MenuItems({ view }: Props) {
  const { t } = useTranslation();
  const { session } = useShell();
  const act = use(UserActionContext);
  return (
    <>
      <OpenItem path="users" view={view} />
      <MenuSeparator />
      {actionsFor(view, session.username).map((action) => (
        <MenuItem key={action} danger={action === "remove"} onSelect={() => act(action, view)}>
          {t(`userAction.${action}`)}
        </MenuItem>
      ))}
    </>
  );
}

function Card({ view }: Props) {
  const reason = useReason();
  const providerName = useProviderName();
  return (
    <RowCard
      title={
        <>
          <UserLink view={view} />
          {view.displayName && <p className="truncate text-caption text-ink-faint">{view.displayName}</p>}
        </>
      }
      badge={<UserStateBadge state={view.state} />}
      detail={view.reason && reason(view)}
    >
      <span>{providerName(view.provider)}</span>
      {view.secondFactor && <SecondFactor view={view} />}
      <LastSignIn view={view} />
    </RowCard>
  );
}
