import { Outlet, useMatch, useNavigate } from "@tanstack/react-router";
import { useCallback, useState } from "react";
import { useTranslation } from "react-i18next";
import { deleteConnector, patchConnector, syncConnector } from "../api/directory";
import { useShell, useStore } from "../shell/context";
import { useList } from "../shell/kind";
import { ListPage } from "../shell/list-page";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { toast } from "../ui/toast";
import { ConnectorDialog } from "./connector-dialog";
import { userView, type ProviderView } from "./model";
import { ProviderActionContext, providerKind, type ProviderAction } from "./provider-listing";

type Open = { action: ProviderAction; view: ProviderView } | { action: "create" } | undefined;

export function ProvidersPage() {
  const { t } = useTranslation();
  const list = useList(providerKind);
  const [open, setOpen] = useState<Open>();
  const act = useCallback((action: ProviderAction, view: ProviderView) => setOpen({ action, view }), []);
  const close = () => setOpen(undefined);
  return (
    <ProviderActionContext value={act}>
      <ListPage
        kind={providerKind}
        list={list}
        actions={
          <Button look="solid" onClick={() => setOpen({ action: "create" })}>
            {t("providers.add")}
          </Button>
        }
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
