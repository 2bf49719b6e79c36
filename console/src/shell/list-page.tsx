// The page of one kind of object: heading, filters, and a table in every state it can be in.
import { clsx } from "clsx";
import type { ParseKeys } from "i18next";
import { FilterX, Lock, type LucideIcon } from "lucide-react";
import { useEffect, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { ApiError } from "../api/status";
import type { Connection } from "../api/watch-store";
import { useCompact } from "../lib/compact";
import { useElapsed } from "../lib/elapsed";
import { useHotkeys } from "../lib/hotkeys";
import { useMoment } from "../lib/time";
import { Button } from "../ui/button";
import { Empty, Notice } from "../ui/message";
import { labelOf, leadsIntoList, ObjectCards, ObjectTable, type Listing, type Row } from "../ui/object-table";
import { Terminal } from "../ui/panel";
import { SearchBox } from "../ui/search-box";
import { useConnectionWord } from "./connection-state";
import { useShell } from "./context";
import type { Kind, List, Right } from "./kind";

interface Props<View extends Row, Key extends string> {
  kind: Pick<Kind<never, View, Key>, "words" | "headings" | "icon" | "right" | "commands" | "listing">;
  list: List<View, Key, object>;
  chips?: ReactNode;
  actions: ReactNode;
  /** Where there is nothing yet, if other than beside the heading. */
  firstActions?: ReactNode;
}

export function ListPage<View extends Row, Key extends string>({ kind, list, chips, actions, firstActions = actions }: Props<View, Key>) {
  const { words, headings, icon, right, commands, listing } = kind;
  const { snapshot, retry, views, rows, query, selected } = list;
  const { t } = useTranslation();
  const { connection, error } = snapshot;
  const word = useConnectionWord(connection);
  const compact = useCompact();
  const filter = useRef<HTMLInputElement>(null);
  useHotkeys({ "/": () => filter.current?.focus() });
  const title = t(words.title);
  const shown = views?.find(({ name }) => name === selected);
  const heading = selected === undefined ? title : shown ? labelOf(shown) : selected;
  useEffect(() => {
    document.title = `${heading} · ${t("product.name")}`;
  }, [heading, t]);

  const lastLive = "lastLive" in connection ? connection.lastLive : undefined;
  const old = word === "stale" || word === "unwatched";
  return (
    <>
      <div
        className={clsx(
          "@container mx-auto flex min-h-full max-w-[1680px] flex-col",
          selected !== undefined && "xl:pr-[min(40vw,640px)]",
        )}
      >
        <header className="flex flex-wrap items-center gap-x-3 gap-y-2 px-4 pt-5 pb-4 sm:px-6">
          <h1 className="text-title">{title}</h1>
          {views && rows && (
            <p className="tabular text-table text-ink-faint" role="status">
              {rows.length === views.length ? t(words.count, { count: views.length }) : t("list.countFiltered", { shown: rows.length, total: views.length })}
            </p>
          )}
          <div className="flex-1" />
          {actions}
        </header>
        {old && views && lastLive !== undefined && <OldNotice lastLive={lastLive} connection={connection} error={error} onRetry={retry} />}
        {views && views.length > 0 && (
          <div className="flex flex-wrap items-center gap-2 px-4 pb-3 sm:px-6">
            <SearchBox ref={filter} label={t(words.filter)} value={query.q} onChange={(q) => list.change({ q })} onKey={(event) => leadsIntoList(event, rows ?? [])} />
            {chips}
          </div>
        )}
        <div className={clsx("flex-1 sm:px-6 sm:pb-6", views && word === "stale" && "grayscale-75")}>
          {!views || !rows ? (
            error ? (
              <ListFailed error={error} words={{ failed: t(words.failed), forbidden: t(words.forbidden) }} icon={icon} right={right} command={commands.list} onRetry={retry} />
            ) : (
              <Loading listing={listing as unknown as Listing<Row, string>} />
            )
          ) : views.length === 0 ? (
            <Empty icon={icon} title={t(words.none)} actions={firstActions}>
              <p>{t(words.noneDetail)}</p>
              <div className="mt-4 text-left">
                <Terminal command={commands.create} />
              </div>
            </Empty>
          ) : rows.length === 0 ? (
            <Empty icon={FilterX} title={t(words.filtered)} actions={<Button onClick={list.clear}>{t("action.clear")}</Button>}>
              {t("list.filteredDetail", { total: views.length })}
            </Empty>
          ) : compact ? (
            <ObjectCards listing={listing} caption={title} rows={rows} selected={selected} onOpen={list.open} />
          ) : (
            <div className="rounded-lg border border-line bg-surface [clip-path:inset(0_round_8px)]">
              <ObjectTable
                listing={listing}
                caption={title}
                heading={(key) => t(headings[key] as ParseKeys)}
                rows={rows}
                sorting={query}
                selected={selected}
                onSort={list.sortBy}
                onOpen={list.open}
              />
            </div>
          )}
        </div>
      </div>
    </>
  );
}

/** The rows are real, and no longer current. */
function OldNotice({ lastLive, connection, error, onRetry }: { lastLive: number; connection: Connection; error: ApiError | undefined; onRetry: () => void }) {
  const { t } = useTranslation();
  const time = useMoment(lastLive);
  const own = connection.state === "forbidden" && connection.own === true;
  return (
    <Notice
      tone="stale"
      className="mx-4 mb-3 sm:mx-6"
      action={
        <Button look="link" size="inline" onClick={onRetry}>
          {t("action.retry")}
        </Button>
      }
    >
      {connection.state !== "forbidden" ? t("list.stale", { time }) : own ? t("list.own", { time }) : t("list.watchForbidden", { time })}
      {error?.message && !own && <span className="block text-caption">{error.message}</span>}
    </Notice>
  );
}

interface FailedProps {
  error: ApiError;
  words: { failed: string; forbidden: string };
  icon: LucideIcon;
  right: Right;
  command: string;
  onRetry: () => void;
}

/** Why there is nothing: the right that is missing and who can grant it, or what went wrong, in the API's own words. */
export function ListFailed({ error, words, icon, right, command, onRetry }: FailedProps) {
  const { t } = useTranslation();
  const { session } = useShell();
  const forbidden = error.code === 403;
  return (
    <Empty
      icon={forbidden ? Lock : icon}
      title={forbidden ? words.forbidden : words.failed}
      actions={<Button onClick={onRetry}>{t("action.retry")}</Button>}
    >
      {forbidden ? (
        <>
          <p>{t("list.forbiddenDetail", { user: session.username })}</p>
          <dl className="mt-3 grid grid-cols-[auto_1fr] gap-x-3 gap-y-1 rounded-md border border-line bg-surface px-3 py-2 text-left text-table">
            {(["verbs", "resource", "namespace"] as const).map(
              (name) =>
                right[name] && (
                  <div key={name} className="contents">
                    <dt className="text-ink-faint">{t(`right.${name}`)}</dt>
                    <dd className="min-w-0 font-mono break-words">{right[name]}</dd>
                  </div>
                ),
            )}
          </dl>
        </>
      ) : (
        <p>{error.code === 0 ? t("error.unreachable") : t("error.server")}</p>
      )}
      {error.message && (
        <p className="mt-3 rounded-md border border-line bg-well px-3 py-2 text-left font-mono text-caption break-words">
          {error.message}
        </p>
      )}
      {error.requestId && (
        <p className="mt-2 text-caption text-ink-faint">{t("error.requestId", { id: error.requestId })}</p>
      )}
      <div className="mt-4 text-left">
        <Terminal command={command} />
      </div>
    </Empty>
  );
}

/** Nothing at first: most lists arrive before an outline could be read. */
function Loading({ listing }: { listing: Listing<Row, string> }) {
  const { t } = useTranslation();
  const shown = useElapsed(200);
  const slow = useElapsed(5_000);
  if (!shown) return null;
  return (
    <div aria-busy className="px-3 sm:px-0">
      <p className="sr-only" role="status">
        {t("list.loading")}
      </p>
      {slow && (
        <p className="pb-3 text-table text-ink-soft" role="status">
          {t("list.slow")}
        </p>
      )}
      <div className="animate-fade-in" aria-hidden>
        <div className="mb-3 h-8 rounded-md border border-line bg-surface sm:w-64" />
        <table className="w-full table-fixed border-separate border-spacing-0 rounded-lg border border-line bg-surface">
          <tbody>
            <tr>
              {listing.columns.map(({ key, className }) => (
                <td key={key} className={clsx("h-9 border-b border-line", className)} />
              ))}
              <td className="h-9 w-12 border-b border-line" />
            </tr>
            {[64, 48, 72, 56, 60, 44].map((width) => (
              <tr key={width}>
                {listing.columns.map(({ key, className }) => (
                  <td key={key} className={clsx("h-12 border-b border-line px-3", className)}>
                    <div className="h-3 rounded bg-line" style={{ width: `${width}%` }} />
                  </td>
                ))}
                <td className="h-12 w-12 border-b border-line" />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}
