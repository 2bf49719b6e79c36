// One project beside the list: its clusters, its members and its namespaces.
import { Link } from "@tanstack/react-router";
import { clsx } from "clsx";
import { CircleCheck, CircleHelp, CircleX, Plus, Trash2 } from "lucide-react";
import { use, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiError } from "../api/status";
import type { Amounts } from "../api/tenancy";
import { projectCommand } from "../lib/commands";
import { dateAndTime } from "../lib/time";
import { useShell, useStore } from "../shell/context";
import { ObjectDrawer } from "../shell/object-drawer";
import { anyOf, GuardedButton, useRights, useRightsIn, type Verdict } from "../shell/rights";
import { Conditions, Fact, Section } from "../ui/detail";
import { Failure } from "../ui/failure";
import { Notice } from "../ui/message";
import { Terminal } from "../ui/panel";
import { Absent, Since } from "../ui/values";
import { bindingAccess, BindingRemovalContext, givenIn, removalAccess } from "./binding-actions";
import { useBindingKind, useRoleName } from "./binding-listing";
import { BindingRemoval } from "./binding-removal";
import { useChoices } from "./cluster-choices";
import { readAmounts, type BindingView, type ClusterWork, type ProjectClusterView, type ProjectView } from "./model";
import { changeProject, ProjectActionContext, removeProject } from "./project-actions";
import { projectKind } from "./project-listing";
import { Namespaces } from "./project-namespaces";
import { AmountsOf, useProjectQuota } from "./project-quota";
import { BindingStateBadge, LevelChip, ProjectStateBadge, SubjectName, usePlaceWords } from "./states";

export const ProjectDrawer = () => <ObjectDrawer kind={projectKind} Subtitle={Subtitle} State={State} Detail={Detail} />;

const Subtitle = ({ view }: { view: ProjectView }) => view.displayName && <p className="font-mono text-caption break-all text-ink-soft">{view.name}</p>;

const State = ({ view }: { view: ProjectView }) => (
  <>
    <ProjectStateBadge state={view.state} />
    {view.reason && <span className="min-w-0 text-caption break-words text-ink-faint">{view.reason}</span>}
  </>
);

function Detail({ view }: { view: ProjectView }) {
  const { t, i18n } = useTranslation();
  const act = use(ProjectActionContext);
  const change = changeProject(view.name);
  const removal = removeProject(view.name);
  const [mayChange, mayRemove] = useRights([change, removal]);
  const going = view.state === "Terminating";
  return (
    <div className="flex flex-col gap-6 px-5 py-5">
      {view.description && <p className="break-words">{view.description}</p>}
      <dl className="grid grid-cols-2 gap-x-4 gap-y-4 text-table">
        <Fact name={t("projects.column.since")}>{view.since === undefined ? <Absent /> : <Since time={view.since} />}</Fact>
        <Fact name={t("projects.column.created")}>{view.created === undefined ? <Absent /> : dateAndTime(view.created, i18n.language)}</Fact>
        <Fact name={t("projects.whenLeft")} wide>
          {view.object.spec?.clusterDeletePolicy === "Delete" ? t("projects.whenLeftDelete") : t("projects.whenLeftRetain")}
        </Fact>
      </dl>
      <Section
        title={t("projects.clustersOf", { count: view.clusters.length })}
        action={
          !going && (
            <GuardedButton size="small" may={mayChange} access={change} onClick={() => act({ action: "addCluster" }, view)}>
              <Plus className="size-4" aria-hidden />
              {t("projects.addCluster")}
            </GuardedButton>
          )
        }
      >
        {view.clusters.length === 0 ? (
          <p className="text-table text-ink-faint">{t("projects.noClusters")}</p>
        ) : (
          <ul className="flex flex-col gap-3">
            {view.clusters.map((cluster) => (
              <ClusterPart key={`${view.name} ${cluster.name}`} view={view} cluster={cluster} mayChange={mayChange} />
            ))}
          </ul>
        )}
      </Section>
      <Members view={view} />
      <Section title={t("detail.conditions")}>
        <Conditions conditions={view.conditions} />
      </Section>
      <Terminal command={projectCommand(view.name)} />
      {!going && (
        <div className="border-t border-line pt-4">
          <GuardedButton look="risky" may={mayRemove} access={removal} onClick={() => act({ action: "remove" }, view)}>
            <Trash2 className="size-4" aria-hidden />
            {t("projects.remove")}
          </GuardedButton>
        </div>
      )}
    </div>
  );
}

interface ClusterProps {
  view: ProjectView;
  cluster: ProjectClusterView;
  mayChange: Verdict;
}

function ClusterPart({ view, cluster: { name, quota, work, leaving }, mayChange }: ClusterProps) {
  const { t } = useTranslation();
  const act = use(ProjectActionContext);
  const unfit = useChoices()?.find((choice) => choice.name === name)?.unfit;
  const staying = !leaving && view.state !== "Terminating";
  const change = changeProject(view.name);
  return (
    <li className="rounded-lg border border-line bg-surface">
      <header className="flex flex-wrap items-center gap-2 border-b border-line px-3 py-2">
        <h4 className="min-w-0 flex-1 font-medium break-all">{name}</h4>
        {staying && (
          <>
            <GuardedButton size="small" may={mayChange} access={change} onClick={() => act({ action: "quota", cluster: name }, view)}>
              {t("projects.editQuota")}
              <span className="sr-only">{name}</span>
            </GuardedButton>
            <GuardedButton size="small" look="risky" may={mayChange} access={change} onClick={() => act({ action: "removeCluster", cluster: name }, view)}>
              {t("projects.removeCluster")}
              <span className="sr-only">{name}</span>
            </GuardedButton>
          </>
        )}
      </header>
      <div className="flex flex-col gap-3 px-3 py-3">
        {leaving ? (
          <Notice tone="stale" live={false}>
            {t("projects.leaving")}
          </Notice>
        ) : (
          <>
            <Work work={work} />
            <Quota project={view.name} cluster={name} wanted={quota} />
          </>
        )}
        {!leaving && <Namespaces view={view} cluster={name} staying={staying} away={unfit && t("namespaces.away", { why: unfit })} />}
      </div>
    </li>
  );
}

const WORKS = ["ProjectNameSpace", "Quota"] as const;
const workLooks = { True: { icon: CircleCheck, mark: "text-good" }, False: { icon: CircleX, mark: "text-bad" }, Unknown: { icon: CircleHelp, mark: "text-mute" } };

/** What became of the project in this cluster. */
function Work({ work }: { work: readonly ClusterWork[] }) {
  const { t } = useTranslation();
  if (work.length === 0) return <p className="text-caption text-ink-faint">{t("projects.workWaiting")}</p>;
  return (
    <ul className="flex flex-col gap-1">
      {work.map(({ type, status, message }) => {
        const known = WORKS.find((each) => each === type);
        const { icon: Icon, mark } = workLooks[status];
        return (
          <li key={type} className="flex gap-2 text-table">
            <Icon className={clsx("mt-0.5 size-4 shrink-0", mark)} strokeWidth={1.75} aria-hidden />
            <span className="min-w-0 break-words">
              {known ? t(`projectWork.${known}`) : type}
              <span className="text-ink-faint">{t("rules.colon")}</span>
              {t(`projectWorkState.${status}`)}
              {message && <span className="block text-caption text-ink-soft">{message}</span>}
            </span>
          </li>
        );
      })}
    </ul>
  );
}

function Quota({ project, cluster, wanted }: { project: string; cluster: string; wanted: Amounts }) {
  const { t } = useTranslation();
  const query = useProjectQuota(project, cluster, wanted);
  const exceeded = query.data?.status?.conditions?.find(({ type, status }) => type === "Exceeded" && status === "True");
  const used = readAmounts(query.data?.status?.used);
  // Who only works there sees the project, and not its quota: nothing has failed.
  const unseen = query.error instanceof ApiError && query.error.code === 403;
  return (
    <>
      {unseen ? <p className="text-caption text-ink-faint">{t("quota.unseen")}</p> : query.error && <Failure error={query.error} />}
      {exceeded && (
        <Notice tone="bad" live={false}>
          {t("quota.exceeded")}
          {exceeded.message && <span className="block text-caption">{exceeded.message}</span>}
        </Notice>
      )}
      {Object.keys({ ...wanted, ...used }).length === 0 ? <p className="text-table text-ink-soft">{t("quota.none")}</p> : <AmountsOf hard={wanted} used={used} words="quota.usedOf" />}
    </>
  );
}

function Members({ view }: { view: ProjectView }) {
  const { t } = useTranslation();
  const act = use(ProjectActionContext);
  const shell = useShell();
  const kind = useBindingKind();
  const { items, error } = useStore(shell.bindings);
  const [removing, setRemoving] = useState<BindingView>();
  const members = useMemo(() => items && [...items, ...(kind.also ?? [])].map(kind.view).filter(({ places }) => places.some(({ project }) => project === view.name)), [items, kind, view.name]);
  const addition = bindingAccess("create", "project", [{ project: view.name }]);
  const mayAdd = anyOf(useRightsIn([addition, ...givenIn(members ?? [])]));
  const mayRemove = useRightsIn((members ?? []).map(removalAccess));
  return (
    <BindingRemovalContext value={setRemoving}>
      <Section
        title={t("projects.members", { count: members?.length ?? 0 })}
        action={
          view.state !== "Terminating" && (
            <GuardedButton size="small" may={mayAdd} access={addition.access} onClick={() => act({ action: "addMember" }, view)}>
              <Plus className="size-4" aria-hidden />
              {t("projects.addMember")}
            </GuardedButton>
          )
        }
      >
        {members === undefined ? (
          error && <Failure error={error} />
        ) : members.length === 0 ? (
          <p className="text-table text-ink-faint">{t("projects.noMembers")}</p>
        ) : (
          <ul className="rounded-lg border border-line" aria-label={t("projects.members", { count: members.length })}>
            {members.map((member, at) => (
              <Member key={member.name} view={member} mayRemove={mayRemove[at]} />
            ))}
          </ul>
        )}
      </Section>
      {removing && <BindingRemoval view={removing} onClose={() => setRemoving(undefined)} />}
    </BindingRemovalContext>
  );
}

function Member({ view, mayRemove }: { view: BindingView; mayRemove: Verdict }) {
  const { t } = useTranslation();
  const remove = use(BindingRemovalContext);
  const role = useRoleName()(view.role);
  const words = usePlaceWords();
  // All of it is in this project.
  const where = view.places.map(({ project: _here, ...place }) => words(place) || t("bindings.allClusters")).join("\n");
  return (
    <li className="flex items-start gap-2 border-b border-line bg-surface px-3 py-2 text-table first:rounded-t-lg last:rounded-b-lg last:border-0">
      <div className="min-w-0 flex-1">
        {view.subjects.map((subject) => (
          <p key={`${subject.kind} ${subject.name}`}>
            <SubjectName subject={subject} />
          </p>
        ))}
        <p className="mt-0.5 flex flex-wrap items-center gap-x-2 text-caption text-ink-soft">
          <Link to="/bindings/$name" params={{ name: view.name }} className="rounded-sm underline-offset-4 hover:underline">
            {role}
          </Link>
          <LevelChip level={view.level} />
          <span className="break-words whitespace-pre-line text-ink-faint">{where}</span>
        </p>
        {view.state !== "Synced" && (
          <div className="mt-1">
            <BindingStateBadge state={view.state} />
          </div>
        )}
      </div>
      <GuardedButton look="ghost" size="icon" may={mayRemove} {...removalAccess(view)} aria-label={t("projects.takeOut", { name: view.title, role })} onClick={() => remove(view)}>
        <Trash2 className="size-4" aria-hidden />
      </GuardedButton>
    </li>
  );
}
