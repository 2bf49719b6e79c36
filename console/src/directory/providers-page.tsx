import { Outlet, useMatch, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { IdCard } from "lucide-react";
import { useCallback, useDeferredValue, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { deleteConnector, patchConnector, syncConnector } from "../api/directory";
import { CONNECTORS_COMMAND } from "../lib/commands";
import { useShell, useStore } from "../shell/context";
import { ListPage } from "../shell/list-page";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Empty } from "../ui/message";
import { Terminal } from "../ui/panel";
import { toast } from "../ui/toast";
import { ConnectorDialog } from "./connector-dialog";
import { providerView, selectPlain, userView, type ProviderView } from "./model";
import { ProviderActionContext, providerListing, type ProviderAction } from "./provider-listing";

const RIGHT = { verbs: "list, watch", resource: "connectors.dex.coreos.com", namespace: "cpaas-system" };
const words = (view: ProviderView) => [view.id, view.type];

type Open = { action: ProviderAction; view: ProviderView } | { action: "create" } | undefined;

export function ProvidersPage() {
  const { t } = useTranslation();
  const navigate = useNavigate({ from: "/providers" });
  const { q = "", sort } = useSearch({ from: "/providers" });
  const { name: selected } = useParams({ strict: false });
  const { connectors } = useShell();
  const snapshot = useStore(connectors);
  const { items } = snapshot;
  const [open, setOpen] = useState<Open>();
  const wanted = useDeferredValue(q);
  const descending = sort === "-name";
  const views = useMemo(() => items?.map(providerView), [items]);
  const rows = useMemo(() => views && selectPlain(views, wanted, descending, words), [views, wanted, descending]);
  const show = useCallback((name: string) => void navigate({ to: "/providers/$name", params: { name }, search: true }), [navigate]);
  const act = useCallback((action: ProviderAction, view: ProviderView) => setOpen({ action, view }), []);
  const search = (next: string) => void navigate({ to: ".", replace: true, search: (old) => ({ ...(old.sort ? { sort: old.sort } : {}), ...(next ? { q: next } : {}) }) });
  const flip = () => void navigate({ to: ".", replace: true, search: { ...(q ? { q } : {}), ...(descending ? {} : { sort: "-name" }) } });
  const close = () => setOpen(undefined);
  const add = (
    <Button look="solid" onClick={() => setOpen({ action: "create" })}>
      {t("providers.add")}
    </Button>
  );
  return (
    <ProviderActionContext value={act}>
      <ListPage
        words={{
          title: t("providers.title"),
          count: t("providers.count", { count: views?.length ?? 0 }),
          filter: t("providers.filter"),
          failed: t("providers.failed"),
          filtered: t("providers.filtered"),
          forbidden: t("providers.forbidden"),
        }}
        icon={IdCard}
        snapshot={snapshot}
        onRetry={connectors.retry}
        views={views}
        rows={rows}
        listing={providerListing}
        heading={(key) => t(`providers.column.${key}`)}
        sorting={{ sort: "provider", descending }}
        onSort={(key) => key === "provider" && flip()}
        onOpen={show}
        selected={selected}
        selectedTitle={views?.find(({ name }) => name === selected)?.title}
        q={q}
        onSearch={search}
        onClear={() => search("")}
        actions={add}
        none={
          <Empty icon={IdCard} title={t("providers.none")} actions={add}>
            <p>{t("providers.noneDetail")}</p>
            <div className="mt-4 text-left">
              <Terminal command={CONNECTORS_COMMAND} />
            </div>
          </Empty>
        }
        right={RIGHT}
        command={CONNECTORS_COMMAND}
      />
      <Outlet />
      {open?.action === "create" && <ConnectorDialog onClose={close} />}
      {open && open.action !== "create" && <ProviderDialog action={open.action} view={open.view} onClose={close} />}
    </ProviderActionContext>
  );
}

function ProviderDialog({ action, view, onClose }: { action: ProviderAction; view: ProviderView; onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const detail = useMatch({ from: "/providers/$name", shouldThrow: false });
  const { users } = useShell();
  const { items } = useStore(users);
  const count = items?.filter((user) => userView(user).provider.id === view.id).length;
  const name = view.title;
  const people = count === undefined ? [] : [t("providers.people", { count })];
  const done = (said: string) => {
    toast(said);
    onClose();
  };
  switch (action) {
    case "edit":
      return <ConnectorDialog view={view} onClose={onClose} />;
    case "sync":
      return (
        <ConfirmDialog
          harmless
          title={t("providers.syncTitle", { name })}
          effects={[t("providers.syncEffect"), t("providers.syncGone")]}
          submit={t("providerAction.sync").replace("…", "")}
          run={() => syncConnector(view.id)}
          onDone={() => done(t("providers.syncing", { name }))}
          onClose={onClose}
        />
      );
    case "disable":
      return (
        <ConfirmDialog
          title={t("providers.disableTitle", { name })}
          effects={[...people, t("providers.disableEffect"), t("providers.disableBack")]}
          submit={t("providerAction.disable").replace("…", "")}
          run={() => patchConnector(view.name, { spec: { disabled: true } })}
          onDone={() => done(t("providers.disabled", { name }))}
          onClose={onClose}
        />
      );
    case "enable":
      return (
        <ConfirmDialog
          harmless
          title={t("providers.enableTitle", { name })}
          effects={[t("providers.enableEffect")]}
          submit={t("providerAction.enable").replace("…", "")}
          run={() => patchConnector(view.name, { spec: { disabled: false } })}
          onDone={() => done(t("providers.enabled", { name }))}
          onClose={onClose}
        />
      );
    case "remove":
      return (
        <ConfirmDialog
          title={t("providers.removeTitle", { name })}
          effects={[...people, t("providers.removeUsers"), t("providers.removeGroups")]}
          submit={t("providers.removeSubmit")}
          typed={{ label: t("providers.typeName"), name: view.id }}
          run={() => deleteConnector(view.name)}
          onDone={() => {
            done(t("providers.removed", { name }));
            if (detail?.params.name === view.name) void navigate({ to: "/providers", search: true });
          }}
          onClose={onClose}
        />
      );
  }
}
