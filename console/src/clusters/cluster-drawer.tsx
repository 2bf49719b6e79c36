// One cluster beside the list, at its own address.
import { useNavigate, useParams } from "@tanstack/react-router";
import { clsx } from "clsx";
import { CircleCheck, CircleHelp, CircleX, CloudOff, SearchX, Trash2 } from "lucide-react";
import { use, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { ClusterCondition } from "../api/cluster";
import { useElapsed } from "../lib/elapsed";
import { dateAndTime } from "../lib/time";
import { useClusters } from "../shell/context";
import { Button } from "../ui/button";
import { CodeBlock } from "../ui/copy";
import { Drawer, DrawerTitle } from "../ui/dialog";
import { Empty } from "../ui/message";
import { Absent, Heartbeat, HubChip, LinkKind, Nodes, Since, Version } from "./cells";
import { focusCluster } from "./cluster-table";
import { detailCommands } from "./commands";
import { HealthBadge } from "./health";
import { clusterView, time, type ClusterView } from "./model";
import { RemovalContext } from "./remove-dialog";

export function ClusterDrawer() {
  const { t } = useTranslation();
  const { name } = useParams({ from: "/clusters/$name" });
  const navigate = useNavigate();
  const { items, error } = useClusters();
  const late = useElapsed(200);
  const cluster = items?.find((item) => item.metadata.name === name);
  const view = cluster && clusterView(cluster);

  const close = () => void navigate({ to: "/clusters", search: (search) => search });
  return (
    <Drawer
      onClose={close}
      onCloseAutoFocus={(event) => {
        event.preventDefault();
        focusCluster(name);
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
        {view.conditions.length === 0 ? (
          <p className="text-table text-ink-faint">{t("detail.noConditions")}</p>
        ) : (
          <ul className="overflow-hidden rounded-lg border border-line">
            {view.conditions.map((condition) => (
              <Condition key={condition.type} condition={condition} />
            ))}
          </ul>
        )}
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

function Fact({ name, wide, children }: { name: string; wide?: boolean; children: ReactNode }) {
  return (
    <div className={clsx("min-w-0", wide && "col-span-2")}>
      <dt className="mb-0.5 text-caption text-ink-faint">{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section>
      <h3 className="mb-2 text-table">{title}</h3>
      {children}
    </section>
  );
}

const CONDITION_STATUSES = ["True", "False", "Unknown"] as const;

const conditionLooks = {
  True: { icon: CircleCheck, mark: "text-good" },
  False: { icon: CircleX, mark: "text-bad" },
  Unknown: { icon: CircleHelp, mark: "text-mute" },
};

function Condition({ condition }: { condition: ClusterCondition }) {
  const { t } = useTranslation();
  const status = CONDITION_STATUSES.find((known) => known === condition.status) ?? "Unknown";
  const { icon: Icon, mark } = conditionLooks[status];
  const since = time(condition.lastTransitionTime);
  return (
    <li className="flex gap-2.5 border-b border-line bg-surface px-3 py-2.5 last:border-0">
      <Icon className={clsx("mt-0.5 size-4 shrink-0", mark)} strokeWidth={1.75} aria-hidden />
      <div className="min-w-0 flex-1 text-table">
        <div className="flex flex-wrap items-baseline gap-x-2">
          <span className="min-w-0 font-medium break-words">{condition.type}</span>
          <span className="text-ink-soft">{t(`conditionStatus.${status}`)}</span>
          <span className="flex-1" />
          {since !== undefined && (
            <span className="text-caption text-ink-faint">
              <Since time={since} />
            </span>
          )}
        </div>
        {condition.reason && <p className="font-mono text-caption break-words text-ink-soft">{condition.reason}</p>}
        {condition.message && (
          <Message text={condition.message} label={condition.type} />
        )}
      </div>
    </li>
  );
}

/** Messages can be pages long: such a one scrolls in its own place, also by keyboard. */
function Message({ text, label }: { text: string; label: string }) {
  const long = text.length > 600 || text.split("\n").length > 8;
  return (
    <p
      className="max-h-40 overflow-y-auto text-caption break-words whitespace-pre-wrap text-ink-soft"
      {...(long ? { tabIndex: 0, role: "region", "aria-label": label } : {})}
    >
      {text}
    </p>
  );
}
