// All objects of the fleet that the reader may see, from the hub's index: found, filtered, sorted and paged there.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { clsx } from "clsx";
import { FilterX, Search } from "lucide-react";
import { createContext, use, useEffect, useMemo, useRef, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { CLUSTERS_PATH, type Cluster } from "../api/cluster";
import { ApiError } from "../api/status";
import { OWN_PROJECTS_PATH, PROJECTS_PATH, searchResources, type FoundObject, type Project } from "../api/tenancy";
import { getCommand, searchCommand } from "../lib/commands";
import { useCompact } from "../lib/compact";
import { useHotkeys } from "../lib/hotkeys";
import { dateAndTime } from "../lib/time";
import { useListed } from "../shell/listed";
import { ListFailed } from "../shell/list-page";
import { Button } from "../ui/button";
import { Fact, Section } from "../ui/detail";
import { Drawer, DrawerTitle } from "../ui/dialog";
import { Field, Input, Select } from "../ui/field";
import { MenuItem } from "../ui/menu";
import { Empty, Notice } from "../ui/message";
import { focusRow, ObjectCards, ObjectTable, rowLink, type Listing } from "../ui/object-table";
import { Terminal } from "../ui/panel";
import { RowCard } from "../ui/row-card";
import { Absent, Since } from "../ui/values";
import type { SearchKey, SearchText } from "./keys";

const PAGE = "100";
/** Between what is typed and what is asked. */
const PAUSE_MS = 300;
const KINDS = ["Deployment", "StatefulSet", "DaemonSet", "Pod", "Job", "CronJob", "Service", "Ingress", "ConfigMap", "Secret", "PersistentVolumeClaim", "Namespace", "Node"];

interface FoundView {
  /** An object has no one name in a fleet. */
  name: string;
  title: string;
  object: FoundObject;
  created: number | undefined;
}

function viewOf(object: FoundObject): FoundView {
  const { name, namespace, creationTimestamp } = object.metadata;
  const created = Date.parse(creationTimestamp ?? "");
  return { name: [object.cluster, object.apiVersion, object.kind, namespace, name].join("/"), title: name, object, created: Number.isNaN(created) ? undefined : created };
}

/** As the hub is asked: the oldest first is upwards there, and the youngest here. */
function orderOf(sort: NonNullable<SearchText["sort"]>): string {
  const key = sort.replace("-", "") as SearchKey;
  const down = sort.startsWith("-") !== (key === "created");
  return `${down ? "d" : "a"},${key === "created" ? "creationTimestamp" : key}`;
}

const OpenContext = createContext<(name: string) => void>(() => undefined);
type Props = { view: FoundView };

const listing: Listing<FoundView, SearchKey> = {
  columns: [
    { key: "name", className: "", Cell: Name },
    { key: "kind", className: "w-44 @max-2xl:w-32", Cell: ({ view }) => <span className="block truncate text-ink-soft">{view.object.kind}</span> },
    { key: "namespace", className: "@max-xl:hidden", Cell: ({ view }) => (view.object.metadata.namespace ? <span className="block truncate text-ink-soft">{view.object.metadata.namespace}</span> : <Absent />) },
    { key: "cluster", className: "@max-xl:hidden", Cell: ({ view }) => <span className="block truncate text-ink-soft">{view.object.cluster}</span> },
    { key: "created", className: "w-32 @max-3xl:hidden", Cell: Created },
  ],
  MenuItems,
  Card,
};

function Name({ view }: Props) {
  const open = use(OpenContext);
  const images = view.object.images ?? [];
  return (
    <>
      <button type="button" {...rowLink(view.name)} onClick={() => open(view.name)} className="block max-w-full min-w-0 truncate rounded-sm text-left font-medium text-ink underline-offset-4 hover:underline">
        {view.title}
      </button>
      {images.length > 0 && (
        <span className="block truncate font-mono text-caption text-ink-faint" title={images.join("\n")}>
          {images.join(", ")}
        </span>
      )}
    </>
  );
}

function Created({ view: { created } }: Props) {
  if (created === undefined) return <Absent />;
  return (
    <span className="whitespace-nowrap text-ink-soft">
      <Since time={created} />
    </span>
  );
}

function MenuItems({ view }: Props) {
  const { t } = useTranslation();
  const open = use(OpenContext);
  return <MenuItem onSelect={() => open(view.name)}>{t("clusters.open")}</MenuItem>;
}

function Card({ view }: Props) {
  const { kind, cluster, metadata } = view.object;
  return (
    <RowCard title={<Name view={view} />}>
      <span className="min-w-0 break-words">{[kind, metadata.namespace, cluster].filter(Boolean).join(" · ")}</span>
    </RowCard>
  );
}

export function SearchPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const text = useSearch({ from: "/search" });
  const compact = useCompact();
  const [selected, setSelected] = useState<string>();
  // Each page is known by the one before: the way back is remembered here.
  const [pages, setPages] = useState<{ of: SearchText; tokens: readonly string[] }>({ of: text, tokens: [] });
  const tokens = pages.of === text ? pages.tokens : [];
  const { q, kind, cluster, project, namespace, label, image, sort = "name" } = text;
  const parts = { q, kind, cluster, project, namespace, label, image, sortBy: orderOf(sort), limit: PAGE, continue: tokens.at(-1) };
  const query = useQuery({ queryKey: ["search", parts], queryFn: () => searchResources(parts), placeholderData: keepPreviousData, staleTime: 5_000, retry: false });
  const rows = useMemo(() => query.data?.items?.map(viewOf), [query.data]);
  const total = query.data?.total ?? rows?.length ?? 0;
  const from = tokens.length * Number(PAGE);
  const change = (next: SearchText) => {
    const changed = Object.fromEntries(Object.entries({ ...text, ...next }).filter(([, value]) => value)) as SearchText;
    void navigate({ to: "/search", replace: true, search: changed });
  };
  const turn = (next: readonly string[]) => {
    setPages({ of: text, tokens: next });
    document.getElementById("content")?.scrollTo({ top: 0 });
  };
  const key = sort.replace("-", "") as SearchKey;
  const descending = sort.startsWith("-");
  const found = rows?.find(({ name }) => name === selected);
  useEffect(() => {
    document.title = `${t("search.title")} · ${t("product.name")}`;
  }, [t]);
  return (
    <OpenContext value={setSelected}>
      <div className={clsx("mx-auto min-h-full max-w-[1680px]", found && "xl:pr-[min(40vw,640px)]")}>
        <div className="@container flex min-h-full flex-col px-4 pt-5 pb-6 sm:px-6">
          <header className="flex flex-wrap items-center gap-x-3 gap-y-2 pb-4">
            <h1 className="text-title">{t("search.title")}</h1>
            {query.data && (
              <p className="tabular text-table text-ink-faint" role="status">
                {t("search.count", { count: total })}
              </p>
            )}
          </header>
          <Filters text={text} onChange={change} />
          {(query.data?.staleClusters ?? []).length > 0 && <Stale stale={query.data?.staleClusters ?? []} />}
          <div className="flex-1" aria-busy={query.isFetching}>
            {query.error ? (
              <ListFailed
                error={query.error instanceof ApiError ? query.error : ApiError.unreachable()}
                words={{ failed: t("search.failed"), forbidden: t("search.forbidden") }}
                icon={Search}
                right={{ verbs: "list", resource: "*" }}
                command={searchCommand(text)}
                onRetry={() => void query.refetch()}
              />
            ) : rows === undefined ? null : rows.length === 0 ? (
              <Empty
                icon={FilterX}
                title={t("search.none")}
                actions={
                  <Button onClick={() => void navigate({ to: "/search", search: {} })}>{t("action.clear")}</Button>
                }
              >
                {t("search.noneDetail")}
              </Empty>
            ) : (
              <>
                {compact ? (
                  <div className="-mx-4">
                    <ObjectCards listing={listing} caption={t("search.title")} rows={rows} selected={selected} onOpen={setSelected} />
                  </div>
                ) : (
                  <div className="rounded-lg border border-line bg-surface [clip-path:inset(0_round_8px)]">
                    <ObjectTable
                      listing={listing}
                      caption={t("search.title")}
                      heading={(column) => t(`search.column.${column}`)}
                      rows={rows}
                      sorting={{ sort: key, descending }}
                      selected={selected}
                      onSort={(next) => change({ sort: next === key && !descending ? `-${next}` : next })}
                      onOpen={setSelected}
                    />
                  </div>
                )}
                <div className="mt-3 flex flex-wrap items-center justify-end gap-2">
                  <p className="tabular text-table text-ink-faint">{t("search.range", { from: from + 1, to: from + rows.length, total })}</p>
                  <Button disabled={tokens.length === 0} onClick={() => turn(tokens.slice(0, -1))}>
                    {t("search.previous")}
                  </Button>
                  <Button disabled={query.data?.continue === undefined || query.isPlaceholderData} onClick={() => query.data?.continue && turn([...tokens, query.data.continue])}>
                    {t("search.next")}
                  </Button>
                </div>
              </>
            )}
          </div>
        </div>
      </div>
      {found && <FoundDrawer view={found} onClose={() => setSelected(undefined)} />}
    </OpenContext>
  );
}

const TEXTS = ["q", "image", "label", "namespace"] as const;
const CHOICES = ["kind", "cluster", "project"] as const;

/** What is typed is asked for when the fingers rest. */
function Filters({ text, onChange }: { text: SearchText; onChange: (change: SearchText) => void }) {
  const { t } = useTranslation();
  const clusters = useListed<Cluster>(CLUSTERS_PATH);
  const projects = useListed<Project>(PROJECTS_PATH, OWN_PROJECTS_PATH);
  const [typed, setTyped] = useState<SearchText>({});
  // On a phone the filters would hide what is found.
  const compact = useCompact();
  const [more, setMore] = useState(false);
  const others = [...TEXTS.slice(1), ...CHOICES].filter((part) => text[part]).length;
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  useHotkeys({ "/": () => first.current?.focus() });
  const send = (change: SearchText) => {
    clearTimeout(timer.current);
    setTyped({});
    onChange(change);
  };
  const type = (change: SearchText) => {
    const next = { ...typed, ...change };
    setTyped(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => send(next), PAUSE_MS);
  };
  const shown = !compact || more;
  const choices = [
    { part: "kind", any: t("search.anyKind"), options: KINDS },
    { part: "cluster", any: t("bindings.anyCluster"), options: (clusters ?? []).map(({ metadata }) => metadata.name) },
    { part: "project", any: t("bindings.anyProject"), options: (projects ?? []).map(({ metadata }) => metadata.name) },
  ] as const;
  return (
    <form
      role="search"
      className="mb-4 grid items-start gap-3 @lg:grid-cols-2 @4xl:grid-cols-4"
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        send(typed);
      }}
    >
      {(shown ? TEXTS : TEXTS.slice(0, 1)).map((part) => (
        <Field key={part} label={t(`search.filter.${part}`)}>
          {(props) => (
            <Input
              {...props}
              {...(part === "q" ? { ref: first } : {})}
              name={part}
              autoComplete="off"
              autoCapitalize="none"
              placeholder={t(`search.example.${part}`)}
              value={typed[part] ?? text[part] ?? ""}
              onChange={(event) => type({ [part]: event.target.value })}
            />
          )}
        </Field>
      ))}
      {shown && choices.map(({ part, any, options }) => (
        <Field key={part} label={t(`search.filter.${part}`)}>
          {(props) => (
            <Select {...props} name={part} value={text[part] ?? ""} onChange={(event) => send({ ...typed, [part]: event.target.value })}>
              <option value="">{any}</option>
              {[...new Set([...options, ...(text[part] ? [text[part]] : [])])].map((option) => (
                <option key={option} value={option}>
                  {option}
                </option>
              ))}
            </Select>
          )}
        </Field>
      ))}
      {compact && (
        <Button aria-expanded={more} onClick={() => setMore(!more)}>
          {more ? t("search.fewer") : t("search.more", { count: others })}
        </Button>
      )}
    </form>
  );
}

/** What is known of a cluster that is not heard of stays, and is dated. */
function Stale({ stale }: { stale: readonly { name: string; since?: string }[] }) {
  const { t, i18n } = useTranslation();
  const words = stale.map(({ name, since }) => {
    const time = Date.parse(since ?? "");
    return Number.isNaN(time) ? name : t("search.asOf", { cluster: name, time: dateAndTime(time, i18n.language) });
  });
  return (
    <Notice tone="stale" className="mb-3">
      {t("search.stale", { clusters: words.join(t("place.separator")) })}
    </Notice>
  );
}

function FoundDrawer({ view, onClose }: { view: FoundView; onClose: () => void }) {
  const { t, i18n } = useTranslation();
  const { object, created } = view;
  const labels = Object.entries(object.metadata.labels ?? {});
  const images = object.images ?? [];
  return (
    <Drawer
      onClose={onClose}
      onCloseAutoFocus={(event) => {
        event.preventDefault();
        focusRow(view.name);
      }}
      header={
        <>
          <DrawerTitle className="min-w-0 text-heading break-words">{view.title}</DrawerTitle>
          <p className="text-table text-ink-soft">{object.kind}</p>
        </>
      }
    >
      <div className="flex flex-col gap-6 px-5 py-5">
        <dl className="grid grid-cols-2 gap-x-4 gap-y-4 text-table">
          <Fact name={t("search.column.cluster")}>{object.cluster}</Fact>
          <Fact name={t("search.column.namespace")}>{object.metadata.namespace || <Absent />}</Fact>
          <Fact name={t("search.api")}>{object.apiVersion || <Absent />}</Fact>
          <Fact name={t("search.column.created")}>{created === undefined ? <Absent /> : dateAndTime(created, i18n.language)}</Fact>
        </dl>
        {images.length > 0 && (
          <Section title={t("search.images")}>
            <ul className="flex flex-col gap-1">
              {images.map((image) => (
                <li key={image} className="font-mono text-caption break-all">
                  {image}
                </li>
              ))}
            </ul>
          </Section>
        )}
        <Section title={t("detail.labels")}>
          {labels.length === 0 ? (
            <p className="text-table text-ink-faint">{t("detail.noLabels")}</p>
          ) : (
            <ul className="flex flex-wrap gap-1.5">
              {labels.map(([name, value]) => (
                <li key={name} className="max-w-full rounded border border-line bg-well px-1.5 py-0.5 font-mono text-caption break-all text-ink-soft">
                  {name}
                  {value && `=${value}`}
                </li>
              ))}
            </ul>
          )}
        </Section>
        <Terminal command={getCommand({ ...object, ...object.metadata })} />
      </div>
    </Drawer>
  );
}
