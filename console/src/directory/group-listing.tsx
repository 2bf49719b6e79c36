// How groups are listed.
import { Link, useNavigate } from "@tanstack/react-router";
import { SquareArrowOutUpRight, Trash2 } from "lucide-react";
import { createContext, use } from "react";
import { useTranslation } from "react-i18next";
import { MenuItem } from "../ui/menu";
import { rowLink, type Listing } from "../ui/object-table";
import { Absent, Changing, Since } from "../ui/values";
import type { GroupKey, GroupView } from "./model";

type Props = { view: GroupView };

/** Asks to delete a group; the page of the list owns the dialog. */
export const GroupRemovalContext = createContext<(view: GroupView) => void>(() => undefined);

export const groupListing: Listing<GroupView, GroupKey> = {
  columns: [
    { key: "group", className: "", Cell: Name },
    { key: "members", className: "w-32 text-right", numeric: true, Cell: Members },
    { key: "source", className: "w-48 @max-xl:hidden", Cell: Source },
    { key: "created", className: "w-36 @max-3xl:hidden", Cell: Created },
  ],
  MenuItems,
  Card,
};

function Name({ view }: Props) {
  return (
    <>
      <Link
        to="/groups/$name"
        params={{ name: view.name }}
        search
        {...rowLink(view.name)}
        className="block w-fit max-w-full truncate rounded-sm font-medium text-ink underline-offset-4 hover:underline"
      >
        {view.title}
      </Link>
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
  const remove = use(GroupRemovalContext);
  return (
    <>
      <MenuItem icon={<SquareArrowOutUpRight className="size-4" aria-hidden />} onSelect={() => void navigate({ to: "/groups/$name", params: { name: view.name }, search: true })}>
        {t("clusters.open")}
      </MenuItem>
      <MenuItem danger={view.connector === undefined} disabled={view.connector !== undefined} icon={<Trash2 className="size-4" aria-hidden />} onSelect={() => remove(view)}>
        {view.connector === undefined ? t("groups.remove") : t("groups.synced")}
      </MenuItem>
    </>
  );
}

function Card({ view }: Props) {
  const { t } = useTranslation();
  return (
    <div className="pr-8">
      <Name view={view} />
      <p className="mt-2 flex flex-wrap gap-x-3 border-t border-line pt-2 text-ink-soft">
        <span>{t("groups.memberCount", { count: view.members.length })}</span>
        <Source view={view} />
      </p>
    </div>
  );
}
