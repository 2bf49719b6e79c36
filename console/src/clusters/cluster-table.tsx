// The fleet as a table, or as cards where a table has no room.
//
// The name in each row is a real link: it is what the keyboard moves between,
// and what Enter, a middle click or a screen reader open. The row only makes the
// target larger. Long lists draw the rows in sight and leave room for the rest.
import { useNavigate, Link } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { clsx } from "clsx";
import { ArrowDown, ArrowUp, Ellipsis, SquareArrowOutUpRight, Trash2 } from "lucide-react";
import { memo, useLayoutEffect, useRef, useState, type KeyboardEvent, type MouseEvent } from "react";
import { useTranslation } from "react-i18next";
import { useHotkeys } from "../lib/hotkeys";
import { Button } from "../ui/button";
import { Menu, MenuContent, MenuItem, MenuTrigger } from "../ui/menu";
import { Changing, Heartbeat, HubChip, LinkKind, Nodes, Version } from "./cells";
import { HealthBadge } from "./health";
import { SORT_KEYS, type ClusterView, type Query, type SortKey } from "./model";

const ROW_HEIGHT = 48;
const WINDOWED_ABOVE = 100;

export const columnClass: Record<SortKey | "actions", string> = {
  // These two share what the others leave.
  name: "",
  health: "",
  version: "w-30 @max-xl:hidden",
  nodes: "w-40 text-right",
  heartbeat: "w-36 @max-3xl:hidden",
  connection: "w-36 @max-4xl:hidden",
  actions: "w-12",
};

interface Props {
  rows: readonly ClusterView[];
  query: Query;
  selected: string | undefined;
  onSort: (key: SortKey) => void;
  onRemove: (view: ClusterView) => void;
}

export function ClusterTable({ rows, query, selected, onSort, onRemove }: Props) {
  const { t } = useTranslation();
  const body = useRef<HTMLTableSectionElement>(null);
  const [offset, setOffset] = useState(0);
  useLayoutEffect(() => setOffset(body.current?.offsetTop ?? 0), []);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => document.getElementById("content"),
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
    scrollMargin: offset,
    enabled: rows.length > WINDOWED_ABOVE,
  });
  const windowed = rows.length > WINDOWED_ABOVE;
  const drawn = virtual.getVirtualItems();
  const first = windowed ? (drawn[0]?.index ?? 0) : 0;
  const last = windowed ? (drawn.at(-1)?.index ?? 0) : rows.length - 1;

  useRowKeys(rows, selected, (index) => windowed && virtual.scrollToIndex(index));

  return (
    <table className="w-full table-fixed border-separate border-spacing-0 text-table" aria-rowcount={rows.length + 1}>
      <caption className="sr-only">{t("clusters.title")}</caption>
      <thead>
        <tr aria-rowindex={1}>
          {SORT_KEYS.map((key) => (
            <SortHeader key={key} name={key} query={query} onSort={onSort} />
          ))}
          <th scope="col" className={clsx(columnClass.actions, headerCell)}>
            <span className="sr-only">{t("clusters.column.actions")}</span>
          </th>
        </tr>
      </thead>
      <tbody ref={body}>
        {windowed && <Room rows={first} />}
        {rows.slice(first, last + 1).map((view, index) => (
          <Row
            key={view.name}
            view={view}
            index={first + index}
            selected={view.name === selected}
            onRemove={onRemove}
          />
        ))}
        {windowed && <Room rows={rows.length - 1 - last} />}
      </tbody>
    </table>
  );
}

function Room({ rows }: { rows: number }) {
  return (
    <tr aria-hidden>
      <td colSpan={SORT_KEYS.length + 1} className="p-0" style={{ height: rows * ROW_HEIGHT }} />
    </tr>
  );
}

const headerCell = "sticky top-0 z-10 h-9 border-b border-line bg-surface px-3 text-left font-medium text-ink-soft";

function SortHeader({ name, query, onSort }: { name: SortKey; query: Query; onSort: (key: SortKey) => void }) {
  const { t } = useTranslation();
  const sorted = query.sort === name;
  const Arrow = query.descending ? ArrowDown : ArrowUp;
  return (
    <th
      scope="col"
      aria-sort={sorted ? (query.descending ? "descending" : "ascending") : undefined}
      className={clsx(headerCell, columnClass[name])}
    >
      <button
        type="button"
        onClick={() => onSort(name)}
        className={clsx(
          "group -mx-1 inline-flex max-w-full align-middle items-center gap-1 rounded px-1 text-caption hover:text-ink",
          name === "nodes" && "flex-row-reverse",
          sorted && "text-ink",
        )}
      >
        <span className="truncate">{t(`clusters.column.${name}`)}</span>
        <Arrow
          aria-hidden
          className={clsx("size-3.5 shrink-0", sorted ? "opacity-100" : "opacity-0 group-hover:opacity-40")}
        />
      </button>
    </th>
  );
}

interface RowProps {
  view: ClusterView;
  index: number;
  selected: boolean;
  onRemove: (view: ClusterView) => void;
}

const cell = "h-12 border-b border-line px-3 align-middle overflow-hidden";

/** Drawn again only when its own cluster has changed: the view of one that has not is the same object. */
const Row = memo(function Row({ view, index, selected, onRemove }: RowProps) {
  const open = useOpenCluster();
  const clicked = (event: MouseEvent) => {
    const control = (event.target as HTMLElement).closest("a, button, [role=menu]");
    if (!control && !getSelection()?.toString()) open(view.name);
  };
  return (
    // The link in the first cell is the accessible way in; a click on the row is a convenience for the mouse.
    // oxlint-disable-next-line jsx-a11y/click-events-have-key-events
    <tr
      aria-rowindex={index + 2}
      onClick={clicked}
      data-selected={selected || undefined}
      className="group cursor-pointer hover:bg-hover has-[a:focus-visible]:bg-hover data-selected:bg-selected"
    >
      <th scope="row" className={clsx(cell, "relative text-left font-normal")}>
        <span
          aria-hidden
          className="absolute inset-y-0 left-0 w-0.5 bg-accent opacity-0 group-has-[a:focus-visible]:opacity-100 group-data-selected:opacity-100"
        />
        <ClusterLink view={view} />
        {view.displayName && <span className="block truncate text-caption text-ink-faint">{view.displayName}</span>}
      </th>
      <td className={cell}>
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
      </td>
      <td className={clsx(cell, columnClass.version)}>
        <Version view={view} />
      </td>
      <td className={clsx(cell, columnClass.nodes)}>
        <Nodes view={view} />
      </td>
      <td className={clsx(cell, columnClass.heartbeat)}>
        <Heartbeat view={view} />
      </td>
      <td className={clsx(cell, columnClass.connection)}>
        <LinkKind link={view.link} />
      </td>
      <td className={clsx(cell, "px-2")}>
        <RowMenu view={view} onRemove={onRemove} />
      </td>
    </tr>
  );
});

function ClusterLink({ view }: { view: ClusterView }) {
  return (
    <span className="flex min-w-0 items-center gap-2">
      <Link
        to="/clusters/$name"
        params={{ name: view.name }}
        search={(search) => search}
        data-cluster-link={view.name}
        className="truncate rounded-sm font-medium text-ink underline-offset-4 hover:underline"
      >
        {view.name}
      </Link>
      {view.isHub && <HubChip />}
    </span>
  );
}

export function RowMenu({ view, onRemove }: { view: ClusterView; onRemove: (view: ClusterView) => void }) {
  const { t } = useTranslation();
  const open = useOpenCluster();
  return (
    <Menu>
      <MenuTrigger asChild>
        <Button look="ghost" size="icon" aria-label={`${t("action.more")}: ${view.name}`}>
          <Ellipsis className="size-4" aria-hidden />
        </Button>
      </MenuTrigger>
      <MenuContent align="end">
        <MenuItem icon={<SquareArrowOutUpRight className="size-4" aria-hidden />} onSelect={() => open(view.name)}>
          {t("clusters.open")}
        </MenuItem>
        <MenuItem
          danger={!view.isHub}
          disabled={view.isHub || view.health === "removing"}
          icon={<Trash2 className="size-4" aria-hidden />}
          onSelect={() => onRemove(view)}
        >
          {view.isHub ? t("clusters.hubStays") : t("clusters.remove")}
        </MenuItem>
      </MenuContent>
    </Menu>
  );
}

export function ClusterCards({ rows, selected, onRemove }: Pick<Props, "rows" | "selected" | "onRemove">) {
  const { t } = useTranslation();
  const open = useOpenCluster();
  useRowKeys(rows, selected, () => undefined);
  return (
    <ul className="flex flex-col gap-2 px-4 pb-4" aria-label={t("clusters.title")}>
      {rows.map((view) => (
        // As in the table, the link inside is the accessible way in.
        // oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/no-noninteractive-element-interactions
        <li
          key={view.name}
          onClick={(event) => !(event.target as HTMLElement).closest("a, button, [role^=menu]") && open(view.name)}
          className="rounded-lg border border-line bg-surface p-3 text-table [contain-intrinsic-size:auto_112px] [content-visibility:auto]"
        >
          <div className="flex items-start gap-2">
            <div className="min-w-0 flex-1">
              <ClusterLink view={view} />
              {view.displayName && <p className="truncate text-caption text-ink-faint">{view.displayName}</p>}
            </div>
            <HealthBadge health={view.health} />
            <span className="-mt-1 -mr-1">
              <RowMenu view={view} onRemove={onRemove} />
            </span>
          </div>
          {view.reason && <p className="mt-1 truncate text-caption text-ink-soft">{view.reason}</p>}
          <div className="mt-2 flex flex-wrap items-center gap-x-3 gap-y-1 border-t border-line pt-2">
            {view.version && <Version view={view} />}
            {view.nodes && <Nodes view={view} />}
            <Heartbeat view={view} />
            <LinkKind link={view.link} />
          </div>
        </li>
      ))}
    </ul>
  );
}

function useOpenCluster(): (name: string) => void {
  const navigate = useNavigate();
  return (name) => void navigate({ to: "/clusters/$name", params: { name }, search: (search) => search });
}

export function focusCluster(name: string): boolean {
  const link = document.querySelector<HTMLElement>(`[data-cluster-link="${CSS.escape(name)}"]`);
  link?.focus();
  return link !== null;
}

/** j and k walk the rows; with a drawer open they show the next cluster in it. */
function useRowKeys(rows: readonly ClusterView[], selected: string | undefined, reveal: (index: number) => void): void {
  const open = useOpenCluster();
  const walk = (step: number) => {
    const here = document.activeElement?.getAttribute("data-cluster-link") ?? selected;
    const at = rows.findIndex((view) => view.name === here);
    const index = at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step));
    const next = rows[index];
    if (!next) return;
    if (selected !== undefined) return open(next.name);
    reveal(index);
    // A row out of sight is drawn only after the scroll.
    if (!focusCluster(next.name)) requestAnimationFrame(() => requestAnimationFrame(() => focusCluster(next.name)));
  };
  useHotkeys({ j: () => walk(1), k: () => walk(-1) });
}

/** Arrow keys in the filter lead into the list. */
export function leadsIntoList(event: KeyboardEvent, rows: readonly ClusterView[]): void {
  const first = rows[0];
  if ((event.key === "ArrowDown" || event.key === "Enter") && first && focusCluster(first.name)) event.preventDefault();
}
