// One identity provider beside the list.
import { use } from "react";
import { useTranslation } from "react-i18next";
import { CONNECTORS_COMMAND } from "../lib/commands";
import { dateAndTime } from "../lib/time";
import { ObjectDrawer } from "../shell/object-drawer";
import { Button } from "../ui/button";
import { Conditions, Fact, Section } from "../ui/detail";
import { Terminal } from "../ui/panel";
import { Absent } from "../ui/values";
import type { ProviderView } from "./model";
import { providerActions, ProviderActionContext, providerKind, Type } from "./provider-listing";
import { ProviderStateBadge } from "./state-badge";

export const ProviderDrawer = () => <ObjectDrawer kind={providerKind} State={State} Detail={Detail} />;

const State = ({ view }: { view: ProviderView }) => <ProviderStateBadge state={view.state} />;

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
          <Button key={action} look={action === "remove" || action === "disable" ? "risky" : "outline"} onClick={() => act(action, view)}>
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
