import { Outlet, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { clsx } from "clsx";
import { Boxes, FilterX, Plus, Search, X } from "lucide-react";
import { useCallback, useDeferredValue, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { ApiError } from "../api/status";
import type { Connection } from "../api/watch-store";
import { useCompact } from "../lib/compact";
import { useElapsed } from "../lib/elapsed";
import { useHotkeys } from "../lib/hotkeys";
import { useMoment } from "../lib/time";
import { useConnectionWord } from "../shell/connection-state";
import { useClusters, useShell } from "../shell/context";
import type { ClusterSearch } from "../shell/router";
import { Button } from "../ui/button";
import { CodeBlock } from "../ui/copy";
import { Menu, MenuContent, MenuItem, MenuTrigger } from "../ui/menu";
import { Empty, Notice } from "../ui/message";
import { ClusterCards, ClusterTable, columnClass, leadsIntoList } from "./cluster-table";
import { REGISTER_COMMAND } from "./commands";
import { healthLooks } from "./health";
import { ImportDialog } from "./import-dialog";
import { ListFailed } from "./list-failed";
import { clusterView, HEALTHS, select, SORT_KEYS, type ClusterView, type Health, type Query, type SortKey } from "./model";
import { RegisterDialog } from "./register-dialog";
import { RemovalContext, RemoveDialog } from "./remove-dialog";

type Open = { dialog: "import" } | { dialog: "register" } | { dialog: "remove"; view: ClusterView } | undefined;

function toQuery(search: ClusterSearch): Query {
  const descending = search.sort?.startsWith("-") ?? false;
  return {
    q: search.q ?? "",
    health: search.health,
    sort: (search.sort?.replace("-", "") ?? "name") as SortKey,
    descending,
  };
}

export function ClusterListPage() {
  const { t } = useTranslation();
  const navigate = useNavigate({ from: "/clusters" });
  const search = useSearch({ from: "/clusters" });
  const { name: selected } = useParams({ strict: false });
  const { items, connection, error } = useClusters();
  const word = useConnectionWord(connection);
  const compact = useCompact();
  const [open, setOpen] = useState<Open>();
  const filter = useRef<HTMLInputElement>(null);

  const query = useMemo(() => toQuery(search), [search]);
  const deferredQuery = useDeferredValue(query);
  const views = useMemo(() => items?.map(clusterView), [items]);
  const rows = useMemo(() => views && select(views, deferredQuery), [views, deferredQuery]);
  const remove = useCallback((view: ClusterView) => setOpen({ dialog: "remove", view }), []);

  useEffect(() => {
    document.title = `${selected ?? t("clusters.title")} · ${t("product.name")}`;
  }, [selected, t]);
  useHotkeys({ "/": () => filter.current?.focus() });

  const change = (next: Partial<ClusterSearch>) =>
    void navigate({
      to: ".",
      replace: true,
      search: (old) => Object.fromEntries(Object.entries({ ...old, ...next }).filter(([, value]) => value)) as ClusterSearch,
    });
  const sortBy = (key: SortKey) =>
    change({ sort: query.sort === key && !query.descending ? `-${key}` : key === "name" ? undefined : key } as ClusterSearch);
  const clear = () => change({ q: undefined, health: undefined } as unknown as ClusterSearch);

  const lastLive = "lastLive" in connection ? connection.lastLive : undefined;
  const old = word === "stale" || word === "unwatched";
  return (
    <RemovalContext value={remove}>
      <div
        className={clsx(
          "@container mx-auto flex min-h-full max-w-[1680px] flex-col",
          selected !== undefined && "xl:pr-[min(40vw,640px)]",
        )}
      >
        <header className="flex flex-wrap items-center gap-x-3 gap-y-2 px-4 pt-5 pb-4 sm:px-6">
          <h1 className="text-title">{t("clusters.title")}</h1>
          {views && rows && (
            <p className="tabular text-table text-ink-faint" role="status">
              {rows.length === views.length
                ? t("clusters.count", { count: views.length })
                : t("clusters.countFiltered", { shown: rows.length, total: views.length })}
            </p>
          )}
          <div className="flex-1" />
          <AddActions onOpen={(dialog) => setOpen({ dialog })} />
        </header>
        {old && views && lastLive !== undefined && <OldNotice lastLive={lastLive} connection={connection} error={error} />}
        {views && views.length > 0 && (
          <div className="flex flex-wrap items-center gap-2 px-4 pb-3 sm:px-6">
            <div className="relative w-full sm:w-64">
              <Search className="pointer-events-none absolute top-2 left-2.5 size-4 text-ink-faint" aria-hidden />
              <input
                ref={filter}
                type="text"
                role="searchbox"
                spellCheck={false}
                autoComplete="off"
                value={search.q ?? ""}
                aria-label={t("clusters.filter")}
                placeholder={t("clusters.filter")}
                onChange={(event) => change({ q: event.target.value })}
                onKeyDown={(event) => {
                  if (event.key === "Escape") {
                    event.stopPropagation();
                    if (search.q) change({ q: "" });
                    else event.currentTarget.blur();
                  } else leadsIntoList(event, rows ?? []);
                }}
                className="h-8 w-full rounded-md border border-control-line bg-surface pr-8 pl-8 text-table hover:border-ink-faint focus-visible:border-focus focus-visible:outline-1 focus-visible:outline-offset-0"
              />
              {search.q ? (
                <button
                  type="button"
                  aria-label={t("clusters.clearText")}
                  onClick={() => change({ q: "" })}
                  className="absolute top-1 right-1 grid size-6 place-items-center rounded text-ink-faint hover:text-ink"
                >
                  <X className="size-4" aria-hidden />
                </button>
              ) : (
                <kbd className="pointer-events-none absolute top-1.5 right-2 hidden rounded border border-line-strong px-1.5 font-mono text-[11px] leading-4.5 text-ink-faint sm:block" aria-hidden>
                  /
                </kbd>
              )}
            </div>
            <HealthFilter views={views} health={query.health} onChange={(health) => change({ health } as ClusterSearch)} />
          </div>
        )}
        <div className={clsx("flex-1 sm:px-6 sm:pb-6", views && word === "stale" && "grayscale-75")}>
          <Body views={views} rows={rows} error={error} onClear={clear} onOpen={(dialog) => setOpen({ dialog })}>
            {compact ? (
              <ClusterCards rows={rows ?? []} selected={selected} onRemove={remove} />
            ) : (
              <div className="rounded-lg border border-line bg-surface [clip-path:inset(0_round_8px)]">
                <ClusterTable rows={rows ?? []} query={query} selected={selected} onSort={sortBy} onRemove={remove} />
              </div>
            )}
          </Body>
        </div>
      </div>
      <Outlet />
      {open?.dialog === "import" && <ImportDialog onClose={() => setOpen(undefined)} />}
      {open?.dialog === "register" && <RegisterDialog onClose={() => setOpen(undefined)} />}
      {open?.dialog === "remove" && <RemoveDialog name={open.view.name} onClose={() => setOpen(undefined)} />}
    </RemovalContext>
  );
}

/** The rows are real, and no longer current. */
function OldNotice({ lastLive, connection, error }: { lastLive: number; connection: Connection; error: ApiError | undefined }) {
  const { t } = useTranslation();
  const { clusters } = useShell();
  const time = useMoment(lastLive);
  return (
    <Notice
      tone="stale"
      className="mx-4 mb-3 sm:mx-6"
      action={
        <Button look="link" size="inline" onClick={clusters.retry}>
          {t("action.retry")}
        </Button>
      }
    >
      {connection.state === "forbidden" ? t("clusters.watchForbidden", { time }) : t("clusters.stale", { time })}
      {error?.message && <span className="block text-caption">{error.message}</span>}
    </Notice>
  );
}

const ways = [
  { dialog: "import", title: "clusters.import", hint: "clusters.importHint" },
  { dialog: "register", title: "clusters.register", hint: "clusters.registerHint" },
] as const;
type AddDialog = (typeof ways)[number]["dialog"];

function AddActions({ onOpen }: { onOpen: (dialog: AddDialog) => void }) {
  const { t } = useTranslation();
  return (
    <>
      <div className="hidden gap-2 sm:flex">
        <Button onClick={() => onOpen("import")} title={t("clusters.importHint")}>
          {t("clusters.import")}
        </Button>
        <Button look="solid" onClick={() => onOpen("register")} title={t("clusters.registerHint")}>
          {t("clusters.register")}
        </Button>
      </div>
      <Menu>
        <MenuTrigger asChild>
          <Button look="solid" className="sm:hidden" aria-label={t("clusters.add")}>
            <Plus className="size-4" aria-hidden />
          </Button>
        </MenuTrigger>
        <MenuContent align="end" className="max-w-72">
          {ways.map(({ dialog, title, hint }) => (
            <MenuItem key={dialog} onSelect={() => onOpen(dialog)}>
              <span>
                {t(title)}
                <span className="block text-caption text-ink-faint">{t(hint)}</span>
              </span>
            </MenuItem>
          ))}
        </MenuContent>
      </Menu>
    </>
  );
}

interface HealthFilterProps {
  views: readonly ClusterView[];
  health: Health | undefined;
  onChange: (health: Health | undefined) => void;
}

function HealthFilter({ views, health, onChange }: HealthFilterProps) {
  const { t } = useTranslation();
  const counts = useMemo(() => {
    const counted = new Map<Health, number>();
    for (const view of views) counted.set(view.health, (counted.get(view.health) ?? 0) + 1);
    return counted;
  }, [views]);
  const chip =
    "inline-flex h-8 shrink-0 items-center gap-1.5 rounded-full border px-2.5 text-table whitespace-nowrap transition-colors duration-150";
  return (
    <div
      role="group"
      aria-label={t("clusters.byHealth")}
      className="flex gap-1.5 max-sm:-mx-4 max-sm:w-dvw max-sm:scrollbar-none max-sm:overflow-x-auto max-sm:px-4 max-sm:py-0.5 sm:flex-wrap"
    >
      {HEALTHS.toReversed()
        .filter((known) => counts.has(known) || known === health)
        .map((known) => {
          const { icon: Icon, mark } = healthLooks[known];
          const pressed = known === health;
          return (
            <button
              key={known}
              type="button"
              aria-pressed={pressed}
              onClick={() => onChange(pressed ? undefined : known)}
              className={clsx(
                chip,
                pressed
                  ? "border-accent bg-selected font-medium text-ink"
                  : "border-line bg-surface text-ink-soft hover:border-line-strong hover:text-ink",
              )}
            >
              <Icon className={clsx("size-3.5", mark)} strokeWidth={2} aria-hidden />
              {t(`health.${known}`)}
              <span className="tabular text-ink-faint">{counts.get(known) ?? 0}</span>
            </button>
          );
        })}
    </div>
  );
}

interface BodyProps {
  views: readonly ClusterView[] | undefined;
  rows: readonly ClusterView[] | undefined;
  error: ApiError | undefined;
  /** Shown when there are rows. */
  children: ReactNode;
  onClear: () => void;
  onOpen: (dialog: AddDialog) => void;
}

function Body({ views, rows, error, children, onClear, onOpen }: BodyProps) {
  const { t } = useTranslation();
  if (!views || !rows) return error ? <ListFailed error={error} /> : <Loading />;
  if (views.length === 0) {
    return (
      <Empty
        icon={Boxes}
        title={t("clusters.none")}
        actions={
          <>
            <Button onClick={() => onOpen("import")}>{t("clusters.import")}</Button>
            <Button look="solid" onClick={() => onOpen("register")}>
              {t("clusters.register")}
            </Button>
          </>
        }
      >
        <p>{t("clusters.noneDetail")}</p>
        <p className="mt-4 mb-1 text-caption text-ink-faint">{t("clusters.fromTerminal")}</p>
        <div className="text-left">
          <CodeBlock text={REGISTER_COMMAND} label={t("clusters.fromTerminal")} />
        </div>
      </Empty>
    );
  }
  if (rows.length === 0) {
    return (
      <Empty
        icon={FilterX}
        title={t("clusters.filtered")}
        actions={<Button onClick={onClear}>{t("action.clear")}</Button>}
      >
        {t("clusters.filteredDetail", { total: views.length })}
      </Empty>
    );
  }
  return children;
}

/** Nothing at first: most lists arrive before an outline could be read. */
function Loading() {
  const { t } = useTranslation();
  const shown = useElapsed(200);
  const slow = useElapsed(5_000);
  if (!shown) return null;
  return (
    <div aria-busy className="px-3 sm:px-0">
      <p className="sr-only" role="status">
        {t("clusters.loading")}
      </p>
      {slow && (
        <p className="pb-3 text-table text-ink-soft" role="status">
          {t("clusters.slow")}
        </p>
      )}
      <div className="animate-fade-in" aria-hidden>
        <div className="mb-3 h-8 rounded-md border border-line bg-surface sm:w-64" />
        <table className="w-full table-fixed border-separate border-spacing-0 rounded-lg border border-line bg-surface">
          <tbody>
            <tr>
              {([...SORT_KEYS, "actions"] as const).map((key) => (
                <td key={key} className={clsx("h-9 border-b border-line", columnClass[key])} />
              ))}
            </tr>
            {[64, 48, 72, 56, 60, 44].map((width) => (
              <tr key={width}>
                {SORT_KEYS.map((key) => (
                  <td key={key} className={clsx("h-12 border-b border-line px-3", columnClass[key])}>
                    <div className="h-3 rounded bg-line" style={{ width: `${width}%` }} />
                  </td>
                ))}
                <td className={columnClass.actions} />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}
