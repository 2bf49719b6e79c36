import { Outlet } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { lazy, Suspense, useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useList } from "../shell/kind";
import { ListPage } from "../shell/list-page";
import { Button } from "../ui/button";
import { FilterChips } from "../ui/filter-chips";
import { Menu, MenuContent, MenuItem, MenuTrigger } from "../ui/menu";
import { clusterKind } from "./cluster-table";
import { healthLooks } from "./health";
import { HEALTHS, type ClusterView, type Health } from "./model";
import { RemovalContext } from "./removal";

const ImportDialog = lazy(() => import("./import-dialog"));
const RemoveDialog = lazy(() => import("./remove-dialog"));
const RegisterDialog = lazy(() => import("./register-dialog"));

type Open = { dialog: "import" } | { dialog: "register" } | { dialog: "remove"; view: ClusterView } | undefined;

export function ClusterListPage() {
  const list = useList(clusterKind);
  const { views, query, change } = list;
  const [open, setOpen] = useState<Open>();
  const remove = useCallback((view: ClusterView) => setOpen({ dialog: "remove", view }), []);
  const add = (dialog: AddDialog) => setOpen({ dialog });
  return (
    <RemovalContext value={remove}>
      <ListPage
        kind={clusterKind}
        list={list}
        chips={views && <HealthFilter views={views} health={query.health} onChange={(health) => change({ health })} />}
        actions={<AddActions onOpen={add} />}
        firstActions={<AddButtons onOpen={add} />}
      />
      <Outlet />
      <Suspense fallback={null}>
        {open?.dialog === "import" && <ImportDialog onClose={() => setOpen(undefined)} />}
        {open?.dialog === "register" && <RegisterDialog onClose={() => setOpen(undefined)} />}
        {open?.dialog === "remove" && <RemoveDialog view={open.view} onClose={() => setOpen(undefined)} />}
      </Suspense>
    </RemovalContext>
  );
}

const ways = [
  { dialog: "import", title: "clusters.import", hint: "clusters.importHint" },
  { dialog: "register", title: "clusters.register", hint: "clusters.registerHint" },
] as const;
type AddDialog = (typeof ways)[number]["dialog"];

function AddButtons({ onOpen }: { onOpen: (dialog: AddDialog) => void }) {
  const { t } = useTranslation();
  return ways.map(({ dialog, title, hint }) => (
    <Button key={dialog} look={dialog === "register" ? "solid" : "outline"} onClick={() => onOpen(dialog)} title={t(hint)}>
      {t(title)}
    </Button>
  ));
}

function AddActions({ onOpen }: { onOpen: (dialog: AddDialog) => void }) {
  const { t } = useTranslation();
  return (
    <>
      <div className="hidden gap-2 sm:flex">
        <AddButtons onOpen={onOpen} />
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
