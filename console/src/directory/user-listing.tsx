// How users are listed.
import { Link, useNavigate } from "@tanstack/react-router";
import { ShieldCheck, SquareArrowOutUpRight } from "lucide-react";
import { use } from "react";
import { useTranslation } from "react-i18next";
import { useProviderName } from "../lib/provider-name";
import { useShell } from "../shell/context";
import { MenuItem, MenuSeparator } from "../ui/menu";
import { rowLink, type Listing } from "../ui/object-table";
import { Absent, Changing, Chip, Since } from "../ui/values";
import type { UserSortKey, UserView } from "./model";
import { UserStateBadge } from "./state-badge";
import { actionsFor, UserActionContext } from "./user-actions";

type Props = { view: UserView };

export const userListing: Listing<UserView, UserSortKey> = {
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

function UserLink({ view }: Props) {
  const { t } = useTranslation();
  return (
    <span className="flex min-w-0 items-center gap-2">
      <Link
        to="/users/$name"
        params={{ name: view.name }}
        search
        {...rowLink(view.name)}
        className="truncate rounded-sm font-medium text-ink underline-offset-4 hover:underline"
      >
        {view.username}
      </Link>
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
  const more = view.reason ?? (view.mustChangePassword ? t("users.mustChange") : undefined);
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

function Created({ view }: Props) {
  if (view.created === undefined) return <Absent />;
  return (
    <span className="whitespace-nowrap text-ink-soft">
      <Since time={view.created} />
    </span>
  );
}

function MenuItems({ view }: Props) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { session } = useShell();
  const act = use(UserActionContext);
  return (
    <>
      <MenuItem
        icon={<SquareArrowOutUpRight className="size-4" aria-hidden />}
        onSelect={() => void navigate({ to: "/users/$name", params: { name: view.name }, search: true })}
      >
        {t("clusters.open")}
      </MenuItem>
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
  const providerName = useProviderName();
  return (
    <>
      <div className="flex items-start gap-2 pr-8">
        <div className="min-w-0 flex-1">
          <UserLink view={view} />
          {view.displayName && <p className="truncate text-caption text-ink-faint">{view.displayName}</p>}
        </div>
        <UserStateBadge state={view.state} />
      </div>
      {view.reason && <p className="mt-1 truncate text-caption text-ink-soft">{view.reason}</p>}
      <div className="mt-2 flex flex-wrap items-center gap-x-3 gap-y-1 border-t border-line pt-2 text-ink-soft">
        <span>{providerName(view.provider)}</span>
        {view.secondFactor && <SecondFactor view={view} />}
        <LastSignIn view={view} />
      </div>
    </>
  );
}
