// One cluster beside the list, at its own address.
import { useNavigate, useParams } from "@tanstack/react-router";
import { CloudOff, SearchX, Trash2 } from "lucide-react";
import { use } from "react";
import { useTranslation } from "react-i18next";
import { useElapsed } from "../lib/elapsed";
import { dateAndTime } from "../lib/time";
import { useClusters } from "../shell/context";
import { Button } from "../ui/button";
import { CodeBlock } from "../ui/copy";
import { Conditions, Fact, Section } from "../ui/detail";
import { Drawer, DrawerTitle } from "../ui/dialog";
import { Empty } from "../ui/message";
import { focusRow } from "../ui/object-table";
import { Absent } from "../ui/values";
import { Heartbeat, HubChip, LinkKind, Nodes, Version } from "./cells";
import { detailCommands } from "./commands";
import { HealthBadge } from "./health";
import { clusterView, type ClusterView } from "./model";
import { RemovalContext } from "./removal";

export function ClusterDrawer() {
  const { t } = useTranslation();
  const { name } = useParams({ from: "/clusters/$name" });
  const navigate = useNavigate();
  const { items, error } = useClusters();
  const late = useElapsed(200);
  const cluster = items?.find((item) => item.metadata.name === name);
  const view = cluster && clusterView(cluster);

  const close = () => void navigate({ to: "/clusters", search: true });
  return (
    <Drawer
      onClose={close}
      onCloseAutoFocus={(event) => {
        event.preventDefault();
        focusRow(name);
      }}
      header={
        <>
          <div className="flex min-w-0 items-center gap-2">
            <DrawerTitle className="min-w-0 text-heading break-words">{name}</DrawerTitle>
            {view?.isHub && <HubChip />}
          </div>
          {view?.displayName && <p className="text-table break-words text-ink-soft">{view.displayName}</p>}
          {view && (
            <div className="mt-2 ml-1.5 flex flex-wrap items-center gap-2">
              <HealthBadge health={view.health} />
              {view.reason && <span className="min-w-0 text-caption break-words text-ink-faint">{view.reason}</span>}
            </div>
          )}
        </>
      }
    >
      {view ? (
        <Detail view={view} />
      ) : items ? (
        <Empty icon={SearchX} title={t("detail.missing", { name })}>
          {t("detail.missingDetail")}
        </Empty>
      ) : error ? (
        <Empty icon={CloudOff} title={t("detail.unread", { name })}>
          {error.message || t("error.unreachable")}
        </Empty>
      ) : (
        late && <p className="p-5 text-ink-faint">{t("detail.loading")}</p>
      )}
    </Drawer>
  );
}

function Detail({ view }: { view: ClusterView }) {
  const { t, i18n } = useTranslation();
  const remove = use(RemovalContext);
  return (
    <div className="flex flex-col gap-6 px-5 py-5">
      <dl className="grid grid-cols-2 gap-x-4 gap-y-4 text-table">
        <Fact name={t("detail.version")}>
          <Version view={view} />
        </Fact>
        <Fact name={t("detail.nodes")}>
          <Nodes view={view} />
        </Fact>
        <Fact name={t("detail.heartbeat")}>
          <Heartbeat view={view} />
        </Fact>
        <Fact name={t("detail.connection")}>
          <LinkKind link={view.link} />
          {view.link !== "unknown" && <p className="text-caption text-ink-faint">{t(`linkDetail.${view.link}`)}</p>}
        </Fact>
        <Fact name={t("detail.phase")}>{view.phase ? <span className="break-words">{view.phase}</span> : <Absent />}</Fact>
        <Fact name={t("detail.created")}>
          {view.created === undefined ? <Absent /> : dateAndTime(view.created, i18n.language)}
        </Fact>
        {view.endpoint && (
          <Fact name={t("detail.endpoint")} wide>
            <span className="font-mono text-caption break-all">{view.endpoint}</span>
          </Fact>
        )}
      </dl>
      <Section title={t("detail.conditions")}>
        <Conditions conditions={view.conditions} />
      </Section>
      <Section title={t("detail.labels")}>
        {view.labels.length === 0 ? (
          <p className="text-table text-ink-faint">{t("detail.noLabels")}</p>
        ) : (
          <ul className="flex flex-wrap gap-1.5">
            {view.labels.map(([key, value]) => (
              <li
                key={key}
                className="max-w-full rounded border border-line bg-well px-1.5 py-0.5 font-mono text-caption break-all text-ink-soft"
              >
                {key}
                {value && (
                  <>
                    <span className="text-ink-faint">=</span>
                    <span className="text-ink">{value}</span>
                  </>
                )}
              </li>
            ))}
          </ul>
        )}
      </Section>
      <Section title={t("detail.commands")}>
        <div className="flex flex-col gap-2.5">
          {detailCommands(view.name).map(({ title, command }) => (
            <div key={title}>
              <p className="mb-1 text-caption text-ink-faint">{t(title)}</p>
              <CodeBlock text={command} label={t(title)} />
            </div>
          ))}
        </div>
      </Section>
      {!view.isHub && view.health !== "removing" && (
        <div className="border-t border-line pt-4">
          <Button onClick={() => remove(view)} className="text-bad-text">
            <Trash2 className="size-4" aria-hidden />
            {t("clusters.remove")}
          </Button>
        </div>
      )}
    </div>
  );
}
