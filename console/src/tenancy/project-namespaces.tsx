// The namespaces of a project in one of its clusters.
import { useQuery } from "@tanstack/react-query";
import { ArrowRightFromLine, Plus, Trash2 } from "lucide-react";
import { use, useState } from "react";
import { useTranslation } from "react-i18next";
import { readQuotas } from "../api/namespaces";
import { readProjectNamespaces, type ProjectNamespaces } from "../api/tenancy";
import { useMoment } from "../lib/time";
import { GuardedButton, GuardNote, useRightsIn, type Guard } from "../shell/rights";
import { Button } from "../ui/button";
import { MenuItem, MoreMenu } from "../ui/menu";
import { Notice } from "../ui/message";
import { Queried } from "../ui/panel";
import { Chip, Since } from "../ui/values";
import type { ProjectView } from "./model";
import { creationNeeds, deletionNeeds, guards, importNeeds, namespaceView, takeOutNeeds, tightest, type NamespaceView } from "./namespaces";
import { ProjectActionContext } from "./project-actions";
import { AmountsOf } from "./project-quota";
import { NamespaceBadge, usePodSecurityName } from "./states";

/** Others work there, too, and rights in a new one take a moment to come. */
const EVERY_MS = 2_000;
const QUOTAS_EVERY_MS = 30_000;
/** A new quota is counted in a moment. */
const UNCOUNTED_EVERY_MS = 2_000;
/** Each asks for its quotas. */
const AT_ONCE = 20;

interface Props {
  view: ProjectView;
  cluster: string;
  /** Why nothing can be changed there now. */
  away: string | undefined;
  /** It stays the project's. */
  staying: boolean;
}

export function Namespaces({ view, cluster, away, staying }: Props) {
  const { t } = useTranslation();
  const act = use(ProjectActionContext);
  const [showing, setShowing] = useState(false);
  const query = useQuery({ queryKey: ["namespaces", view.name, cluster], queryFn: () => readProjectNamespaces(view.name, cluster), enabled: showing, refetchInterval: EVERY_MS, retry: false });
  const needs = [importNeeds(view.name, cluster), creationNeeds(view.name, cluster)];
  const [importing, creating] = guards(needs, useRightsIn(needs.flat()));
  const start = (action: "importNamespace" | "createNamespace") => () => {
    setShowing(true);
    act({ action, cluster }, view);
  };
  return (
    <div className="-mx-3 flex flex-col gap-2 border-t border-line px-3 pt-3">
      <div className="flex flex-wrap items-center gap-2">
        <div className="min-w-0 flex-1">
          {showing ? (
            <h5 className="font-medium">{query.data ? t("namespaces.count", { count: query.data.items.length }) : t("namespaces.title")}</h5>
          ) : (
            <Button look="link" size="inline" onClick={() => setShowing(true)}>
              {t("projects.showNamespaces")}
              <span className="sr-only">{cluster}</span>
            </Button>
          )}
        </div>
        {staying && importing && creating && (
          <>
            <GuardedButton size="small" {...importing} blocked={away} onClick={start("importNamespace")}>
              {t("namespaces.import")}
              <span className="sr-only">{cluster}</span>
            </GuardedButton>
            <GuardedButton size="small" {...creating} blocked={away} onClick={start("createNamespace")}>
              <Plus className="size-4" aria-hidden />
              {t("namespaces.create")}
              <span className="sr-only">{cluster}</span>
            </GuardedButton>
          </>
        )}
      </div>
      {showing && (
        <div className="-mx-3 -mb-3">
          {away && (
            <div className="px-3 pb-2">
              <Notice tone="stale" live={false}>
                {away}
              </Notice>
            </div>
          )}
          <Queried query={query}>{(found) => <List view={view} cluster={cluster} found={found} away={away !== undefined} />}</Queried>
        </div>
      )}
    </div>
  );
}

function List({ view, cluster, found: { items, staleClusters }, away }: { view: ProjectView; cluster: string; found: ProjectNamespaces; away: boolean }) {
  const { t } = useTranslation();
  const [most, setMost] = useState(AT_ONCE);
  const stale = staleClusters?.find(({ name }) => name === cluster);
  const shown = items.slice(0, most).map(namespaceView);
  const needs = shown.flatMap(({ name }) => [takeOutNeeds(view.name, cluster, name), deletionNeeds(cluster, name)]);
  const found = guards(needs, useRightsIn(needs.flat()));
  return (
    <>
      {stale && <AsOf since={stale.since} />}
      {items.length === 0 ? (
        <p className="px-3 pb-3 text-table text-ink-faint">{t("projects.noNamespaces")}</p>
      ) : (
        <ul aria-label={t("projects.namespacesOn", { name: cluster })} className="border-t border-line">
          {shown.map((each, at) => (
            <Item key={each.name} project={view} cluster={cluster} view={each} away={away} takeOut={found[2 * at]} removal={found[2 * at + 1]} />
          ))}
        </ul>
      )}
      {items.length > most && (
        <div className="flex justify-center py-2">
          <Button onClick={() => setMost(most + AT_ONCE)}>{t("list.more", { count: items.length - most })}</Button>
        </div>
      )}
    </>
  );
}

function AsOf({ since }: { since: string | undefined }) {
  const { t } = useTranslation();
  const time = Date.parse(since ?? "");
  const when = useMoment(Number.isNaN(time) ? undefined : time);
  return (
    <div className="px-3 pb-2">
      <Notice tone="stale" live={false}>
        {when ? t("list.stale", { time: when }) : t("namespaces.stale")}
      </Notice>
    </div>
  );
}

interface ItemProps {
  project: ProjectView;
  cluster: string;
  view: NamespaceView;
  away: boolean;
  takeOut: Guard | undefined;
  removal: Guard | undefined;
}

function Item({ project, cluster, view, away, takeOut, removal }: ItemProps) {
  const { t } = useTranslation();
  const own = view.name === project.name;
  const level = usePodSecurityName()(view.podSecurity);
  return (
    <li className="flex items-start gap-2 border-b border-line py-2 pr-1 pl-3 text-table last:border-0">
      <div className="flex min-w-0 flex-1 flex-col gap-1.5">
        <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <span className="min-w-0 font-mono text-caption break-all">{view.name}</span>
          {own ? <Chip>{t("projects.own")}</Chip> : view.phase && <NamespaceBadge phase={view.phase} />}
          {view.created !== undefined && (
            <span className="text-caption text-ink-faint">
              <Since time={view.created} />
            </span>
          )}
        </div>
        {!own && (
          <>
            <p className="flex flex-wrap gap-x-3 text-caption text-ink-soft">
              {view.displayName && <span className="min-w-0 break-words">{view.displayName}</span>}
              <span>{t("namespaces.podSecurityIs", { level })}</span>
            </p>
            <Spent cluster={cluster} namespace={view.name} />
          </>
        )}
      </div>
      {!own && takeOut && removal && <Actions project={project} cluster={cluster} view={view} away={away} takeOut={takeOut} removal={removal} />}
    </li>
  );
}

function Actions({ project, cluster, view, away, takeOut, removal }: ItemProps & { takeOut: Guard; removal: Guard }) {
  const { t } = useTranslation();
  const act = use(ProjectActionContext);
  const going = view.phase === "Terminating";
  const namespace = view.object;
  return (
    <MoreMenu of={view.name}>
      <MenuItem disabled={!takeOut.may || away || going} icon={<ArrowRightFromLine className="size-4" aria-hidden />} onSelect={() => act({ action: "takeOutNamespace", cluster, namespace }, project)}>
        <span>
          {t("namespaces.takeOut")}
          <GuardNote {...takeOut} />
        </span>
      </MenuItem>
      <MenuItem danger={removal.may === true && !away && !going} disabled={!removal.may || away || going} icon={<Trash2 className="size-4" aria-hidden />} onSelect={() => act({ action: "deleteNamespace", cluster, namespace }, project)}>
        <span>
          {t("namespaces.delete")}
          <GuardNote {...removal} />
        </span>
      </MenuItem>
    </MoreMenu>
  );
}

/** What is used in it, of what its quotas allow. */
function Spent({ cluster, namespace }: { cluster: string; namespace: string }) {
  const { t } = useTranslation();
  const { data, error } = useQuery({ queryKey: ["quotas", cluster, namespace], queryFn: () => readQuotas(cluster, namespace), refetchInterval: ({ state }) => (state.data?.some(({ status }) => !status?.used) ? UNCOUNTED_EVERY_MS : QUOTAS_EVERY_MS), retry: false });
  if (data === undefined) return error && <p className="text-caption break-words text-ink-faint">{t("namespaces.quotaUnread", { why: error.message || t("error.unreachable") })}</p>;
  const bounds = Object.entries(tightest(data));
  if (bounds.length === 0) return <p className="text-caption text-ink-faint">{t("namespaces.noQuota")}</p>;
  return (
    <AmountsOf
      words="quota.spentOf"
      hard={Object.fromEntries(bounds.map(([key, { hard }]) => [key, hard]))}
      used={Object.fromEntries(bounds.flatMap(([key, { used }]) => (used === undefined ? [] : [[key, used]])))}
    />
  );
}
