// How projects are listed.
import { FolderKanban, Trash2 } from "lucide-react";
import { use } from "react";
import { useTranslation } from "react-i18next";
import type { Project } from "../api/tenancy";
import { PROJECTS_COMMAND } from "../lib/commands";
import type { Kind } from "../shell/kind";
import { GuardNote, useRights } from "../shell/rights";
import { Created, OpenItem, RowLink } from "../shell/rows";
import { MenuItem } from "../ui/menu";
import type { Listing } from "../ui/object-table";
import { RowCard } from "../ui/row-card";
import { Absent, Changing, Since } from "../ui/values";
import type { ProjectFilters, ProjectKey } from "./keys";
import { projectView, selectProjects, type ProjectView } from "./model";
import { ProjectActionContext, removeProject } from "./project-actions";
import { ProjectStateBadge } from "./states";

type Props = { view: ProjectView };

const listing: Listing<ProjectView, ProjectKey> = {
  columns: [
    { key: "project", className: "", Cell: Name },
    { key: "clusters", className: "@max-xl:hidden", Cell: Clusters },
    { key: "state", className: "@max-xl:w-40", Cell: State },
    { key: "since", className: "w-32 @max-3xl:hidden", Cell: SinceCell },
    { key: "created", className: "w-32 @max-5xl:hidden", Cell: Created },
  ],
  MenuItems,
  Card,
};

export const projectKind: Kind<Project, ProjectView, ProjectKey, ProjectFilters> = {
  path: "projects",
  store: "projects",
  icon: FolderKanban,
  words: { title: "projects.title", count: "projects.count", filter: "projects.filter", failed: "projects.failed", filtered: "projects.filtered", forbidden: "projects.forbidden", none: "projects.none", noneDetail: "projects.noneDetail", missing: "projects.missing", unread: "projects.failed" },
  headings: { project: "projects.column.project", clusters: "projects.column.clusters", state: "projects.column.state", since: "projects.column.since", created: "projects.column.created" },
  right: { verbs: "list, watch", resource: "projects.auth.alauda.io" },
  commands: { list: PROJECTS_COMMAND, create: PROJECTS_COMMAND },
  listing,
  view: projectView,
  select: selectProjects,
};

function Name({ view }: Props) {
  return (
    <>
      <RowLink path="projects" view={view} />
      {view.displayName && <span className="block truncate font-mono text-caption text-ink-faint">{view.name}</span>}
    </>
  );
}

function Clusters({ view }: Props) {
  if (view.clusters.length === 0) return <Absent />;
  const words = view.clusters.map(({ name }) => name).join(", ");
  return (
    <span className="line-clamp-2 text-ink-soft" title={words}>
      {words}
    </span>
  );
}

function State({ view }: Props) {
  return (
    <>
      <Changing value={view.state}>
        <ProjectStateBadge state={view.state} />
      </Changing>
      {view.reason && (
        <span className="block truncate text-caption text-ink-faint" title={view.reason}>
          {view.reason}
        </span>
      )}
    </>
  );
}

function SinceCell({ view }: Props) {
  if (view.since === undefined) return <Absent />;
  return (
    <span className="whitespace-nowrap text-ink-soft">
      <Since time={view.since} />
    </span>
  );
}

function MenuItems({ view }: Props) {
  const { t } = useTranslation();
  const act = use(ProjectActionContext);
  const access = removeProject(view.name);
  const [may] = useRights([access]);
  return (
    <>
      <OpenItem path="projects" view={view} />
      <MenuItem danger={may === true} disabled={!may} icon={<Trash2 className="size-4" aria-hidden />} onSelect={() => act({ action: "remove" }, view)}>
        <span>
          {t("projects.remove")}
          <GuardNote may={may} access={access} />
        </span>
      </MenuItem>
    </>
  );
}

function Card({ view }: Props) {
  return (
    <RowCard title={<Name view={view} />} badge={<ProjectStateBadge state={view.state} />} detail={view.reason}>
      <Clusters view={view} />
    </RowCard>
  );
}
