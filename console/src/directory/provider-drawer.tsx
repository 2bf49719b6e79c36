// One identity provider beside the list.
import { useNavigate, useParams } from "@tanstack/react-router";
import { CloudOff, SearchX } from "lucide-react";
import { use } from "react";
import { useTranslation } from "react-i18next";
import { CONNECTORS_COMMAND } from "../lib/commands";
import { useElapsed } from "../lib/elapsed";
import { dateAndTime } from "../lib/time";
import { useShell, useStore } from "../shell/context";
import { Button } from "../ui/button";
import { Conditions, Fact, Section } from "../ui/detail";
import { Drawer, DrawerTitle } from "../ui/dialog";
import { Empty } from "../ui/message";
import { focusRow } from "../ui/object-table";
import { Terminal } from "../ui/panel";
import { Absent } from "../ui/values";
import { providerView, type ProviderView } from "./model";
import { providerActions, ProviderActionContext, Type } from "./provider-listing";
import { ProviderStateBadge } from "./state-badge";

export function ProviderDrawer() {
  const { t } = useTranslation();
  const { name } = useParams({ from: "/providers/$name" });
  const navigate = useNavigate();
  const { connectors } = useShell();
  const { items, error } = useStore(connectors);
  const late = useElapsed(200);
  const connector = items?.find((item) => item.metadata.name === name);
  const view = connector && providerView(connector);
  return (
    <Drawer
      onClose={() => void navigate({ to: "/providers", search: true })}
      onCloseAutoFocus={(event) => {
        event.preventDefault();
        focusRow(name);
      }}
      header={
        <>
          <DrawerTitle className="min-w-0 text-heading break-words">{view?.title ?? name}</DrawerTitle>
          {view && (
            <div className="mt-2 ml-1.5">
              <ProviderStateBadge state={view.state} />
            </div>
          )}
        </>
      }
    >
      {view ? (
        <Detail view={view} />
      ) : items ? (
        <Empty icon={SearchX} title={t("providers.missing", { name })}>
          {t("detail.missingDetail")}
        </Empty>
      ) : error ? (
        <Empty icon={CloudOff} title={t("providers.failed")}>
          {error.message || t("error.unreachable")}
        </Empty>
      ) : (
        late && <p className="p-5 text-ink-faint">{t("list.loading")}</p>
      )}
    </Drawer>
  );
}

function Detail({ view }: { view: ProviderView }) {
  const { t, i18n } = useTranslation();
  const act = use(ProviderActionContext);
  return (
    <div className="flex flex-col gap-6 px-5 py-5">
      <dl className="grid grid-cols-2 gap-x-4 gap-y-4 text-table">
        <Fact name={t("connector.id")}>
          <span className="font-mono text-caption">{view.id}</span>
        </Fact>
        <Fact name={t("providers.column.type")}>
          <Type view={view} />
        </Fact>
        {view.type === "ldap" && <Fact name={t("connector.schedule")}>{view.schedule ? <code className="font-mono text-caption">{view.schedule}</code> : t("providers.byHand")}</Fact>}
        <Fact name={t("providers.created")}>{view.created === undefined ? <Absent /> : dateAndTime(view.created, i18n.language)}</Fact>
      </dl>
      <div className="flex flex-wrap gap-2">
        {providerActions(view).map((action) => (
          <Button key={action} className={action === "remove" || action === "disable" ? "text-bad-text" : ""} onClick={() => act(action, view)}>
            {t(`providerAction.${action}`)}
          </Button>
        ))}
      </div>
      <Section title={t("detail.conditions")}>
        <Conditions conditions={view.conditions} />
      </Section>
      <Terminal command={CONNECTORS_COMMAND.replace("connectors.dex.coreos.com", () => `connectors.dex.coreos.com ${view.name}`)} />
    </div>
  );
}
