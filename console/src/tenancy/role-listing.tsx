// How roles are listed.
import { BadgeCheck } from "lucide-react";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import type { RoleTemplate } from "../api/tenancy";
import { ROLES_COMMAND } from "../lib/commands";
import type { Kind } from "../shell/kind";
import { Created, OpenItem, RowLink } from "../shell/rows";
import type { Listing } from "../ui/object-table";
import { RowCard } from "../ui/row-card";
import { Changing, Chip } from "../ui/values";
import type { RoleFilters, RoleKey } from "./keys";
import { roleView, selectRoles, type RoleView } from "./model";
import { LevelChip, RoleStateBadge } from "./states";

type Props = { view: RoleView };

const listing: Listing<RoleView, RoleKey> = {
  columns: [
    { key: "role", className: "", Cell: Name },
    { key: "level", className: "w-36", Cell: LevelCell },
    { key: "state", className: "w-40", Cell: State },
    { key: "created", className: "w-36 @max-3xl:hidden", Cell: Created },
  ],
  MenuItems: ({ view }) => <OpenItem path="roles" view={view} />,
  Card,
};

const roleKind: Omit<Kind<RoleTemplate, RoleView, RoleKey, RoleFilters>, "view"> = {
  path: "roles",
  store: "roles",
  icon: BadgeCheck,
  words: { title: "roles.title", count: "roles.count", filter: "roles.filter", failed: "roles.failed", filtered: "roles.filtered", forbidden: "roles.forbidden", none: "roles.none", noneDetail: "roles.noneDetail", missing: "roles.missing", unread: "roles.failed" },
  headings: { role: "roles.column.role", level: "roles.column.level", state: "roles.column.state", created: "roles.column.created" },
  right: { verbs: "list, watch", resource: "roletemplates.auth.alauda.io" },
  commands: { list: ROLES_COMMAND, create: ROLES_COMMAND },
  listing,
  select: selectRoles,
};

/** Roles have their names in the reader's language. */
export function useRoleKind(): Kind<RoleTemplate, RoleView, RoleKey, RoleFilters> {
  const { i18n } = useTranslation();
  return useMemo(() => ({ ...roleKind, view: roleView(i18n.language) }), [i18n.language]);
}

function RoleName({ view }: Props) {
  const { t } = useTranslation();
  return (
    <span className="flex min-w-0 items-center gap-2">
      <RowLink path="roles" view={view} />
      {view.official && <Chip>{t("roles.official")}</Chip>}
    </span>
  );
}

function Name({ view }: Props) {
  return (
    <>
      <RoleName view={view} />
      <span className="block truncate text-caption text-ink-faint" title={view.description}>
        {view.description ?? view.name}
      </span>
    </>
  );
}

function LevelCell({ view }: Props) {
  return <LevelChip level={view.level} />;
}

function State({ view }: Props) {
  return (
    <Changing value={view.state}>
      <RoleStateBadge state={view.state} />
    </Changing>
  );
}

function Card({ view }: Props) {
  return (
    <RowCard title={<RoleName view={view} />} badge={<RoleStateBadge state={view.state} />} detail={view.description ?? view.name}>
      <LevelChip level={view.level} />
    </RowCard>
  );
}
