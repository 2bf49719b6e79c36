// How clusters are listed.
import { Link, useNavigate } from "@tanstack/react-router";
import { SquareArrowOutUpRight, Trash2 } from "lucide-react";
import { use } from "react";
import { useTranslation } from "react-i18next";
import { MenuItem } from "../ui/menu";
import { rowLink, type Listing } from "../ui/object-table";
import { Changing } from "../ui/values";
import { Heartbeat, HubChip, LinkKind, Nodes, Version } from "./cells";
import { HealthBadge } from "./health";
import type { ClusterView, SortKey } from "./model";
import { RemovalContext } from "./removal";

type Props = { view: ClusterView };

export const clusterListing: Listing<ClusterView, SortKey> = {
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
      <Link
        to="/clusters/$name"
        params={{ name: view.name }}
        search
        {...rowLink(view.name)}
        className="truncate rounded-sm font-medium text-ink underline-offset-4 hover:underline"
      >
        {view.name}
      </Link>
      {view.isHub && <HubChip />}
    </span>
  );
}

function MenuItems({ view }: Props) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const remove = use(RemovalContext);
  return (
    <>
      <MenuItem
        icon={<SquareArrowOutUpRight className="size-4" aria-hidden />}
        onSelect={() => void navigate({ to: "/clusters/$name", params: { name: view.name }, search: true })}
      >
        {t("clusters.open")}
      </MenuItem>
      <MenuItem
        danger={!view.isHub}
        disabled={view.isHub || view.health === "removing"}
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
    <>
      <div className="flex items-start gap-2 pr-8">
        <div className="min-w-0 flex-1">
          <ClusterLink view={view} />
          {view.displayName && <p className="truncate text-caption text-ink-faint">{view.displayName}</p>}
        </div>
        <HealthBadge health={view.health} />
      </div>
      {view.reason && <p className="mt-1 truncate text-caption text-ink-soft">{view.reason}</p>}
      <div className="mt-2 flex flex-wrap items-center gap-x-3 gap-y-1 border-t border-line pt-2">
        {view.version && <Version view={view} />}
        {view.nodes && <Nodes view={view} />}
        <Heartbeat view={view} />
        <LinkKind link={view.link} />
      </div>
    </>
  );
}
