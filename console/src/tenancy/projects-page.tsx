import { Outlet, useMatch, useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { counted } from "../lib/select";
import { useList } from "../shell/kind";
import { ListPage } from "../shell/list-page";
import { GuardedButton, useRights } from "../shell/rights";
import { FilterChips } from "../ui/filter-chips";
import { BindingDialog } from "./binding-dialog";
import { PROJECT_STATES, type ProjectState } from "./keys";
import type { ProjectView } from "./model";
import { CreateNamespaceDialog, DeleteNamespaceDialog, ImportNamespaceDialog, TakeOutNamespaceDialog } from "./namespace-dialogs";
import { CREATE_PROJECT, ProjectActionContext, type ProjectAction } from "./project-actions";
import { AddClusterDialog, CreateProjectDialog, QuotaDialog, RemoveClusterDialog, RemoveProjectDialog } from "./project-dialogs";
import { projectKind } from "./project-listing";
import { projectLooks } from "./states";

type Open = { action: "create" } | (ProjectAction & { view: ProjectView }) | undefined;

export function ProjectsPage() {
  const { t } = useTranslation();
  const list = useList(projectKind);
  const [open, setOpen] = useState<Open>();
  const act = useCallback((action: ProjectAction, view: ProjectView) => setOpen({ ...action, view }), []);
  const [may] = useRights([CREATE_PROJECT]);
  return (
    <ProjectActionContext value={act}>
      <ListPage
        kind={projectKind}
        list={list}
        chips={list.views && <StateFilter views={list.views} state={list.query.state} onChange={(state) => list.change({ state })} />}
        actions={
          <GuardedButton look="solid" may={may} access={CREATE_PROJECT} onClick={() => setOpen({ action: "create" })}>
            {t("projects.create")}
          </GuardedButton>
        }
      />
      <Outlet />
      {open && <ProjectDialog open={open} onClose={() => setOpen(undefined)} />}
    </ProjectActionContext>
  );
}

function ProjectDialog({ open, onClose }: { open: NonNullable<Open>; onClose: () => void }) {
  const navigate = useNavigate();
  const detail = useMatch({ from: "/projects/$name", shouldThrow: false });
  switch (open.action) {
    case "create":
      return <CreateProjectDialog onClose={onClose} />;
    case "quota":
      return <QuotaDialog view={open.view} cluster={open.cluster} onClose={onClose} />;
    case "addCluster":
      return <AddClusterDialog view={open.view} onClose={onClose} />;
    case "removeCluster":
      return <RemoveClusterDialog view={open.view} cluster={open.cluster} onClose={onClose} />;
    case "createNamespace":
      return <CreateNamespaceDialog view={open.view} cluster={open.cluster} onClose={onClose} />;
    case "importNamespace":
      return <ImportNamespaceDialog view={open.view} cluster={open.cluster} onClose={onClose} />;
    case "takeOutNamespace":
      return <TakeOutNamespaceDialog view={open.view} cluster={open.cluster} namespace={open.namespace} onClose={onClose} />;
    case "deleteNamespace":
      return <DeleteNamespaceDialog view={open.view} cluster={open.cluster} namespace={open.namespace} onClose={onClose} />;
    case "addMember":
      return <BindingDialog project={open.view.name} onClose={onClose} />;
    case "remove":
      return <RemoveProjectDialog view={open.view} onDone={() => detail?.params.name === open.view.name && void navigate({ to: "/projects", search: true })} onClose={onClose} />;
  }
}

interface FilterProps {
  views: readonly ProjectView[];
  state: ProjectState | undefined;
  onChange: (state: ProjectState | undefined) => void;
}

function StateFilter({ views, state, onChange }: FilterProps) {
  const { t } = useTranslation();
  const counts = useMemo(() => counted(views, (view) => view.state), [views]);
  return (
    <FilterChips
      label={t("projects.byState")}
      value={state}
      onChange={onChange}
      options={PROJECT_STATES.toReversed()
        .filter((known) => counts.has(known) || known === state)
        .map((known) => ({ value: known, label: t(`projectState.${known}`), count: counts.get(known) ?? 0, ...projectLooks[known] }))}
    />
  );
}
