// One cluster beside the list, at its own address.
import { Trash2 } from "lucide-react";
import { use } from "react";
import { useTranslation } from "react-i18next";
import { dateAndTime } from "../lib/time";
import { ObjectDrawer } from "../shell/object-drawer";
import { Button } from "../ui/button";
import { CodeBlock } from "../ui/copy";
import { Conditions, Fact, Section } from "../ui/detail";
import { Absent } from "../ui/values";
import type { ResourceView } from "./capacity";
import { Heartbeat, HubChip, LinkKind, Nodes, Version } from "./cells";
import { clusterKind } from "./cluster-table";
import { detailCommands } from "./commands";
import { HealthBadge } from "./health";
import type { ClusterView } from "./model";
import { RemovalContext } from "./removal";

export const ClusterDrawer = () => <ObjectDrawer kind={clusterKind} Mark={Mark} Subtitle={Subtitle} State={State} Detail={Detail} />;

const Mark = ({ view }: { view: ClusterView }) => view.isHub && <HubChip />;

const Subtitle = ({ view }: { view: ClusterView }) => view.displayName && <p className="text-table break-words text-ink-soft">{view.displayName}</p>;

const State = ({ view }: { view: ClusterView }) => (
  <>
    <HealthBadge health={view.health} />
    {view.reason && <span className="min-w-0 text-caption break-words text-ink-faint">{view.reason}</span>}
  </>
);

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
      {view.resources.length > 0 && (
        <Section title={t("detail.resources")}>
          <Resources resources={view.resources} />
        </Section>
      )}
      <Section title={t("detail.conditions")}>
        <Conditions conditions={view.conditions} />
      </Section>
      {view.components.length > 0 && (
        <Section title={t("detail.components")}>
          <Conditions conditions={view.components} />
        </Section>
      )}
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
      {!view.isHub && (
        <div className="border-t border-line pt-4">
          <Button look="risky" onClick={() => remove(view)}>
            <Trash2 className="size-4" aria-hidden />
            {t("clusters.remove")}
          </Button>
        </div>
      )}
    </div>
  );
}

function Resources({ resources }: { resources: readonly ResourceView[] }) {
  const { t, i18n } = useTranslation();
  const percent = new Intl.NumberFormat(i18n.language, { style: "percent", maximumFractionDigits: 0 });
  return (
    <ul className="overflow-hidden rounded-lg border border-line">
      {resources.map(({ name, allocated, allocatable, share }) => (
        <li key={name} className="flex flex-wrap items-baseline gap-x-3 border-b border-line bg-surface px-3 py-2 text-table last:border-0">
          <span className="min-w-0 flex-1 font-medium break-all">{name}</span>
          <span className="text-ink-soft">{t("detail.resource", { allocated, allocatable })}</span>
          <span className="w-12 text-end text-ink-faint">{share !== undefined && Number.isFinite(share) && percent.format(share)}</span>
        </li>
      ))}
    </ul>
  );
}
