// A list of objects as a table, or as cards where a table has no room.
//
// The name in each row is a real link: it is what the keyboard moves between,
// and what Enter, a middle click or a screen reader open. The row only makes the
// target larger. Long lists draw the rows in sight and leave room for the rest.
import { useVirtualizer } from "@tanstack/react-virtual";
import { clsx } from "clsx";
import { ArrowDown, ArrowUp } from "lucide-react";
import { memo, useLayoutEffect, useRef, useState, type KeyboardEvent, type MouseEvent, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useHotkeys } from "../lib/hotkeys";
import { Button } from "./button";
import { MoreMenu } from "./menu";

const ROW_HEIGHT = 48;
const WINDOWED_ABOVE = 100;
/** Cards differ in height and are not windowed; thousands of them would stop a phone. */
const CARDS_AT_ONCE = 100;

export interface Row {
  name: string;
}

export interface Column<View, Key extends string> {
  key: Key;
  className: string;
  numeric?: boolean;
  Cell: (props: { view: View }) => ReactNode;
}

/** How one kind of object is listed. Made once, outside components: rows are drawn again only when their object changes. */
export interface Listing<View extends Row, Key extends string> {
  columns: readonly [Column<View, Key>, ...Column<View, Key>[]];
  /** What the row's menu holds. */
  MenuItems: (props: { view: View }) => ReactNode;
  Card: (props: { view: View }) => ReactNode;
}

export interface Sorting<Key extends string> {
  sort: Key;
  descending: boolean;
}

interface Props<View extends Row, Key extends string> {
  listing: Listing<View, Key>;
  caption: string;
  heading: (key: Key) => string;
  rows: readonly View[];
  sorting: Sorting<Key>;
  selected: string | undefined;
  onSort: (key: Key) => void;
  onOpen: (name: string) => void;
}

export function ObjectTable<View extends Row, Key extends string>({ listing, caption, heading, rows, sorting, selected, onSort, onOpen }: Props<View, Key>) {
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

  useRowKeys(rows, selected, onOpen, (index) => windowed && virtual.scrollToIndex(index));

  return (
    <table className="w-full table-fixed border-separate border-spacing-0 text-table" aria-rowcount={rows.length + 1}>
      <caption className="sr-only">{caption}</caption>
      <thead>
        <tr aria-rowindex={1}>
          {listing.columns.map((column) => (
            <SortHeader key={column.key} column={column} words={heading(column.key)} sorting={sorting} onSort={onSort} />
          ))}
          <th scope="col" className={clsx("w-12", headerCell)}>
            <span className="sr-only">{t("list.actions")}</span>
          </th>
        </tr>
      </thead>
      <tbody ref={body}>
        {windowed && <Room rows={first} columns={listing.columns.length + 1} />}
        {rows.slice(first, last + 1).map((view, index) => (
          <TableRow key={view.name} listing={listing as unknown as Listing<Row, string>} view={view} index={first + index} selected={view.name === selected} onOpen={onOpen} />
        ))}
        {windowed && <Room rows={rows.length - 1 - last} columns={listing.columns.length + 1} />}
      </tbody>
    </table>
  );
}

function Room({ rows, columns }: { rows: number; columns: number }) {
  return (
    <tr aria-hidden>
      <td colSpan={columns} className="p-0" style={{ height: rows * ROW_HEIGHT }} />
    </tr>
  );
}

const headerCell = "sticky top-0 z-10 h-9 border-b border-line bg-surface px-3 text-left font-medium text-ink-soft";

interface HeaderProps<View, Key extends string> {
  column: Column<View, Key>;
  words: string;
  sorting: Sorting<Key>;
  onSort: (key: Key) => void;
}

function SortHeader<View, Key extends string>({ column, words, sorting, onSort }: HeaderProps<View, Key>) {
  const sorted = sorting.sort === column.key;
  const Arrow = sorting.descending ? ArrowDown : ArrowUp;
  return (
    <th
      scope="col"
      aria-sort={sorted ? (sorting.descending ? "descending" : "ascending") : undefined}
      className={clsx(headerCell, column.className)}
    >
      <button
        type="button"
        onClick={() => onSort(column.key)}
        className={clsx(
          "group -mx-1 inline-flex max-w-full align-middle items-center gap-1 rounded px-1 text-caption hover:text-ink",
          column.numeric && "flex-row-reverse",
          sorted && "text-ink",
        )}
      >
        <span className="truncate">{words}</span>
        <Arrow
          aria-hidden
          className={clsx("size-3.5 shrink-0", sorted ? "opacity-100" : "opacity-0 group-hover:opacity-40")}
        />
      </button>
    </th>
  );
}

const cell = "h-12 border-b border-line px-3 align-middle overflow-hidden";

interface TableRowProps {
  listing: Listing<Row, string>;
  view: Row;
  index: number;
  selected: boolean;
  onOpen: (name: string) => void;
}

/** Drawn again only when its own object has changed: the view of one that has not is the same object. */
const TableRow = memo(function TableRow({ listing, view, index, selected, onOpen }: TableRowProps) {
  const [{ Cell: First, className: firstClass }, ...others] = listing.columns;
  const clicked = (event: MouseEvent) => {
    const control = (event.target as HTMLElement).closest("a, button, [role=menu]");
    if (!control && !getSelection()?.toString()) onOpen(view.name);
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
      <th scope="row" className={clsx(cell, "relative text-left font-normal", firstClass)}>
        <span
          aria-hidden
          className="absolute inset-y-0 left-0 w-0.5 bg-accent opacity-0 group-has-[a:focus-visible]:opacity-100 group-data-selected:opacity-100"
        />
        <First view={view} />
      </th>
      {others.map(({ key, className, Cell }) => (
        <td key={key} className={clsx(cell, className)}>
          <Cell view={view} />
        </td>
      ))}
      <td className={clsx(cell, "px-2")}>
        <RowMenu listing={listing} view={view} />
      </td>
    </tr>
  );
});

function RowMenu<View extends Row, Key extends string>({ listing, view }: { listing: Listing<View, Key>; view: View }) {
  return (
    <MoreMenu of={labelOf(view)}>
      <listing.MenuItems view={view} />
    </MoreMenu>
  );
}

/** Some objects are named by a hash, which nobody should have read out to them. */
export function labelOf(view: Row): string {
  const { title } = view as Row & { title?: unknown };
  return typeof title === "string" ? title : view.name;
}

export function ObjectCards<View extends Row, Key extends string>({ listing, caption, rows, selected, onOpen }: Pick<Props<View, Key>, "listing" | "caption" | "rows" | "selected" | "onOpen">) {
  const { t } = useTranslation();
  const [most, setMost] = useState(CARDS_AT_ONCE);
  useRowKeys(rows, selected, onOpen, () => undefined);
  return (
    <ul className="flex flex-col gap-2 px-4 pb-4" aria-label={caption}>
      {rows.slice(0, most).map((view) => (
        // As in the table, the link inside is the accessible way in.
        // oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/no-noninteractive-element-interactions
        <li
          key={view.name}
          onClick={(event) => !(event.target as HTMLElement).closest("a, button, [role^=menu]") && onOpen(view.name)}
          className="relative rounded-lg border border-line bg-surface p-3 text-table [contain-intrinsic-size:auto_112px] [content-visibility:auto]"
        >
          <listing.Card view={view} />
          <span className="absolute top-2 right-2">
            <RowMenu listing={listing} view={view} />
          </span>
        </li>
      ))}
      {rows.length > most && (
        <li className="flex justify-center py-2">
          <Button onClick={() => setMost(most + CARDS_AT_ONCE)}>{t("list.more", { count: rows.length - most })}</Button>
        </li>
      )}
    </ul>
  );
}

/** What the link of a row carries, so that the keyboard finds it. */
export const rowLink = (name: string) => ({ "data-row-link": name });

export function focusRow(name: string): boolean {
  const link = document.querySelector<HTMLElement>(`[data-row-link="${CSS.escape(name)}"]`);
  link?.focus();
  return link !== null;
}

/** j and k walk the rows; with a drawer open they show the next object in it. */
function useRowKeys(rows: readonly Row[], selected: string | undefined, open: (name: string) => void, reveal: (index: number) => void): void {
  const walk = (step: number) => {
    const here = document.activeElement?.getAttribute("data-row-link") ?? selected;
    const at = rows.findIndex((view) => view.name === here);
    const index = at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step));
    const next = rows[index];
    if (!next) return;
    if (selected !== undefined) return open(next.name);
    reveal(index);
    // A row out of sight is drawn only after the scroll.
    if (!focusRow(next.name)) requestAnimationFrame(() => requestAnimationFrame(() => focusRow(next.name)));
  };
  useHotkeys({ j: () => walk(1), k: () => walk(-1) });
}

/** Arrow keys in the filter lead into the list. */
export function leadsIntoList(event: KeyboardEvent, rows: readonly Row[]): void {
  const first = rows[0];
  if ((event.key === "ArrowDown" || event.key === "Enter") && first && focusRow(first.name)) event.preventDefault();
}
