import { Outlet, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Boxes, Plus } from "lucide-react";
import { lazy, Suspense, useCallback, useDeferredValue, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useClusters, useShell } from "../shell/context";
import { ListPage } from "../shell/list-page";
import type { ClusterSearch } from "../shell/search";
import { Button } from "../ui/button";
import { CodeBlock } from "../ui/copy";
import { FilterChips } from "../ui/filter-chips";
import { Menu, MenuContent, MenuItem, MenuTrigger } from "../ui/menu";
import { Empty } from "../ui/message";
import { clusterListing } from "./cluster-table";
import { LIST_COMMAND, REGISTER_COMMAND } from "./commands";
import { healthLooks } from "./health";
import { clusterView, HEALTHS, select, type ClusterView, type Health, type Query, type SortKey } from "./model";
import { RemovalContext } from "./removal";

const ImportDialog = lazy(() => import("./import-dialog"));
const RemoveDialog = lazy(() => import("./remove-dialog"));
const RegisterDialog = lazy(() => import("./register-dialog"));

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

const RIGHT = { verbs: "list, watch", resource: "clusters.cluster.x-k8s.io", namespace: "cpaas-system" };

export function ClusterListPage() {
  const { t } = useTranslation();
  const navigate = useNavigate({ from: "/clusters" });
  const search = useSearch({ from: "/clusters" });
  const { name: selected } = useParams({ strict: false });
  const { clusters } = useShell();
  const snapshot = useClusters();
  const { items } = snapshot;
  const [open, setOpen] = useState<Open>();

  const query = useMemo(() => toQuery(search), [search]);
  const deferredQuery = useDeferredValue(query);
  const views = useMemo(() => items?.map(clusterView), [items]);
  const rows = useMemo(() => views && select(views, deferredQuery), [views, deferredQuery]);
  const remove = useCallback((view: ClusterView) => setOpen({ dialog: "remove", view }), []);
  const show = useCallback((name: string) => void navigate({ to: "/clusters/$name", params: { name }, search: true }), [navigate]);

  const change = (next: Partial<ClusterSearch>) =>
    void navigate({
      to: ".",
      replace: true,
      search: (old) => Object.fromEntries(Object.entries({ ...old, ...next }).filter(([, value]) => value)) as ClusterSearch,
    });
  const sortBy = (key: SortKey) =>
    change({ sort: query.sort === key && !query.descending ? `-${key}` : key === "name" ? undefined : key } as ClusterSearch);

  return (
    <RemovalContext value={remove}>
      <ListPage
        words={{
          title: t("clusters.title"),
          count: t("clusters.count", { count: views?.length ?? 0 }),
          filter: t("clusters.filter"),
          failed: t("clusters.failed"),
          filtered: t("clusters.filtered"),
          forbidden: t("clusters.forbidden"),
        }}
        icon={Boxes}
        snapshot={snapshot}
        onRetry={clusters.retry}
        views={views}
        rows={rows}
        listing={clusterListing}
        heading={(key) => t(`clusters.column.${key}`)}
        sorting={query}
        onSort={sortBy}
        onOpen={show}
        selected={selected}
        q={search.q ?? ""}
        onSearch={(q) => change({ q })}
        onClear={() => change({ q: undefined, health: undefined } as unknown as ClusterSearch)}
        chips={views && <HealthFilter views={views} health={query.health} onChange={(health) => change({ health } as ClusterSearch)} />}
        actions={<AddActions onOpen={(dialog) => setOpen({ dialog })} />}
        none={<None onOpen={(dialog) => setOpen({ dialog })} />}
        right={RIGHT}
        command={LIST_COMMAND}
      />
      <Outlet />
      <Suspense fallback={null}>
        {open?.dialog === "import" && <ImportDialog onClose={() => setOpen(undefined)} />}
        {open?.dialog === "register" && <RegisterDialog onClose={() => setOpen(undefined)} />}
        {open?.dialog === "remove" && <RemoveDialog name={open.view.name} onClose={() => setOpen(undefined)} />}
      </Suspense>
    </RemovalContext>
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
  return (
    <FilterChips
      label={t("clusters.byHealth")}
      value={health}
      onChange={onChange}
      options={HEALTHS.toReversed()
        .filter((known) => counts.has(known) || known === health)
        .map((known) => ({ value: known, label: t(`health.${known}`), count: counts.get(known) ?? 0, ...healthLooks[known] }))}
    />
  );
}

function None({ onOpen }: { onOpen: (dialog: AddDialog) => void }) {
  const { t } = useTranslation();
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
      <p className="mt-4 mb-1 text-caption text-ink-faint">{t("list.fromTerminal")}</p>
      <div className="text-left">
        <CodeBlock text={REGISTER_COMMAND} label={t("list.fromTerminal")} />
      </div>
    </Empty>
  );
}
