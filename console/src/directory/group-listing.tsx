// How groups are listed.
import { Trash2, UsersRound } from "lucide-react";
import { createContext, use, useMemo } from "react";
import { useTranslation } from "react-i18next";
import type { Group } from "../api/directory";
import { GROUPS_COMMAND } from "../lib/commands";
import { useShell, useStore } from "../shell/context";
import type { Kind } from "../shell/kind";
import { Created, OpenItem, RowLink } from "../shell/rows";
import { MenuItem } from "../ui/menu";
import type { Listing } from "../ui/object-table";
import { RowCard } from "../ui/row-card";
import { Changing } from "../ui/values";
import { groupViews, selectGroups, type GroupKey, type GroupView } from "./model";

type Props = { view: GroupView };

/** Asks to delete a group; the page of the list owns the dialog. */
export const GroupRemovalContext = createContext<(view: GroupView) => void>(() => undefined);

const listing: Listing<GroupView, GroupKey> = {
  columns: [
    { key: "group", className: "", Cell: Name },
    { key: "members", className: "w-32 text-right", numeric: true, Cell: Members },
    { key: "source", className: "w-48 @max-xl:hidden", Cell: Source },
    { key: "created", className: "w-36 @max-3xl:hidden", Cell: Created },
  ],
  MenuItems,
  Card,
};

const groupKind: Omit<Kind<Group, GroupView, GroupKey>, "view"> = {
  path: "groups",
  store: "groups",
  icon: UsersRound,
  words: { title: "groups.title", count: "groups.count", filter: "groups.filter", failed: "groups.failed", filtered: "groups.filtered", forbidden: "groups.forbidden", none: "groups.none", noneDetail: "groups.noneDetail", missing: "groups.missing", unread: "groups.failed" },
  headings: { group: "groups.column.group", members: "groups.column.members", source: "groups.column.source", created: "groups.column.created" },
  right: { verbs: "list, watch", resource: "groups.auth.alauda.io" },
  commands: { list: GROUPS_COMMAND, create: GROUPS_COMMAND },
  listing: listing,
  select: selectGroups,
};

export function useGroupKind(): Kind<Group, GroupView, GroupKey> {
  const { users, connectors } = useShell();
  const people = useStore(users).items;
  const providers = useStore(connectors).items;
  return useMemo(() => ({ ...groupKind, view: groupViews(people, providers) }), [people, providers]);
}

function Name({ view }: Props) {
  return (
    <>
      <RowLink path="groups" view={view} />
      {view.displayName && <span className="block truncate font-mono text-caption text-ink-faint">{view.name}</span>}
    </>
  );
}

function Members({ view }: Props) {
  return (
    <Changing value={String(view.members.length)}>
      <span className="tabular">{view.members.length}</span>
    </Changing>
  );
}

function Source({ view }: Props) {
  const { t } = useTranslation();
  return <span className="block truncate text-ink-soft">{view.connector === undefined ? t("groups.local") : t("groups.from", { provider: view.connector })}</span>;
}

function MenuItems({ view }: Props) {
  const { t } = useTranslation();
  const remove = use(GroupRemovalContext);
  return (
    <>
      <OpenItem path="groups" view={view} />
      <MenuItem danger={view.deletable} disabled={!view.deletable} icon={<Trash2 className="size-4" aria-hidden />} onSelect={() => remove(view)}>
        {view.deletable ? t("groups.remove") : t("groups.synced")}
      </MenuItem>
    </>
  );
}

function Card({ view }: Props) {
  const { t } = useTranslation();
  return (
    <RowCard title={<Name view={view} />}>
      <span>{t("groups.memberCount", { count: view.members.length })}</span>
      <Source view={view} />
    </RowCard>
  );
}
