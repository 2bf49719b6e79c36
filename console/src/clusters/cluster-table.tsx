// How clusters are listed.
import { Boxes, Trash2 } from "lucide-react";
import { use } from "react";
import { useTranslation } from "react-i18next";
import type { Cluster } from "../api/cluster";
import type { Kind } from "../shell/kind";
import { OpenItem, RowLink } from "../shell/rows";
import { MenuItem } from "../ui/menu";
import type { Listing } from "../ui/object-table";
import { RowCard } from "../ui/row-card";
import { Changing } from "../ui/values";
import { Heartbeat, HubChip, LinkKind, Nodes, Version } from "./cells";
import { LIST_COMMAND, REGISTER_COMMAND } from "./commands";
import { HealthBadge } from "./health";
import { clusterView, select, type ClusterView, type Filters, type SortKey } from "./model";
import { RemovalContext } from "./removal";

type Props = { view: ClusterView };

const listing: Listing<ClusterView, SortKey> = {
  columns: [
    // The first two share what the others leave.
    { key: "name", className: "", Cell: Name },
    { key: "health", className: "", Cell: Health },
    { key: "version", className: "w-30 @max-xl:hidden", Cell: Version },
    { key: "nodes", className: "w-40 text-right", numeric: true, Cell: Nodes },
    { key: "heartbeat", className: "w-36 @max-3xl:hidden", Cell: Heartbeat },
    { key: "connection", className: "w-36 @max-4xl:hidden", Cell: ({ view }) => <LinkKind link={view.link} /> },
  ],
  MenuItems,
  Card,
};

export const clusterKind: Kind<Cluster, ClusterView, SortKey, Filters> = {
  path: "clusters",
  store: "clusters",
  icon: Boxes,
  words: { title: "clusters.title", count: "clusters.count", filter: "clusters.filter", failed: "clusters.failed", filtered: "clusters.filtered", forbidden: "clusters.forbidden", none: "clusters.none", noneDetail: "clusters.noneDetail", missing: "detail.missing", unread: "detail.unread" },
  headings: { name: "clusters.column.name", health: "clusters.column.health", version: "clusters.column.version", nodes: "clusters.column.nodes", heartbeat: "clusters.column.heartbeat", connection: "clusters.column.connection" },
  right: { verbs: "list, watch", resource: "clusters.cluster.x-k8s.io", namespace: "cpaas-system" },
  commands: { list: LIST_COMMAND, create: REGISTER_COMMAND },
  listing: listing,
  view: clusterView,
  select: select,
};

function Name({ view }: Props) {
  return (
    <>
      <ClusterLink view={view} />
      {view.displayName && <span className="block truncate text-caption text-ink-faint">{view.displayName}</span>}
    </>
  );
}

function Health({ view }: Props) {
  return (
    <span className="flex min-w-0 items-center gap-x-2 @max-3xl:flex-col @max-3xl:items-start">
      <Changing value={view.health}>
        <HealthBadge health={view.health} />
      </Changing>
      <span className="flex max-w-full gap-x-2 text-caption">
        {view.reason && (
          <span className="truncate text-ink-faint" title={view.reason}>
            {view.reason}
          </span>
        )}
        {view.health === "unknown" && (
          // Where the column of heartbeats has no room, a lost member still says since when.
          <span className="hidden shrink-0 @max-3xl:block">
            <Heartbeat view={view} />
          </span>
        )}
      </span>
    </span>
  );
}

function ClusterLink({ view }: Props) {
  return (
    <span className="flex min-w-0 items-center gap-2">
      <RowLink path="clusters" view={view} />
      {view.isHub && <HubChip />}
    </span>
  );
}

function MenuItems({ view }: Props) {
  const { t } = useTranslation();
  const remove = use(RemovalContext);
  return (
    <>
      <OpenItem path="clusters" view={view} />
      <MenuItem
        danger={!view.isHub}
        disabled={view.isHub}
        icon={<Trash2 className="size-4" aria-hidden />}
        onSelect={() => remove(view)}
      >
        {view.isHub ? t("clusters.hubStays") : t("clusters.remove")}
      </MenuItem>
    </>
  );
}

function Card({ view }: Props) {
  return (
    <RowCard
      title={
        <>
          <ClusterLink view={view} />
          {view.displayName && <p className="truncate text-caption text-ink-faint">{view.displayName}</p>}
        </>
      }
      badge={<HealthBadge health={view.health} />}
      detail={view.reason}
    >
      {view.version && <Version view={view} />}
      {view.nodes && <Nodes view={view} />}
      <Heartbeat view={view} />
      <LinkKind link={view.link} />
    </RowCard>
  );
}
