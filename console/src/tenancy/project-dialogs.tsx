// Make a project, change what it has, and end it.
import { useMutation, useQueries } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiError, fieldErrors } from "../api/status";
import { createProject, deleteProject, patchProjectClusters, readProjectNamespaces, type Amounts, type ReclaimPolicy } from "../api/tenancy";
import { useShell, useStore } from "../shell/context";
import { Checkbox } from "../ui/checkbox";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Field, Input, Select, TextArea } from "../ui/field";
import { FormDialog } from "../ui/form-dialog";
import { Segmented } from "../ui/segmented";
import { toast } from "../ui/toast";
import { useChoices } from "./cluster-choices";
import { bindingView, isProjectName, type ProjectView } from "./model";
import { filled, QuotaFields, wrongAmounts } from "./quota-fields";

const FIELDS = ["name", "clusters"] as const;

export function CreateProjectDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const { projects } = useShell();
  const { items } = useStore(projects);
  const choices = useChoices();
  const [name, setName] = useState("");
  const [displayName, setDisplayName] = useState("");
  const [description, setDescription] = useState("");
  const [quotas, setQuotas] = useState<Record<string, Amounts>>({});
  const chosen = Object.entries(quotas).map(([cluster, quota]) => ({ name: cluster, quota: filled(quota) }));
  const creation = useMutation({
    mutationFn: () => createProject({ name, displayName: displayName.trim(), description: description.trim(), clusters: chosen }),
    onSuccess: () => {
      toast(t("projects.created", { name }));
      projects.retry();
      onClose();
    },
  });
  const refused = creation.error instanceof ApiError ? fieldErrors(creation.error, FIELDS) : undefined;
  const problem = name === "" ? t("form.required") : !isProjectName(name) ? t("projects.badName") : items?.some(({ metadata }) => metadata.name === name) ? t("projects.taken") : undefined;
  const wrong = Object.values(quotas).some((quota) => wrongAmounts(quota).length > 0);
  const choose = (cluster: string, on: boolean) =>
    setQuotas((old) => {
      const { [cluster]: _gone, ...others } = old;
      return on ? { ...others, [cluster]: {} } : others;
    });
  return (
    <FormDialog
      title={t("projects.createTitle")}
      subtitle={t("projects.createDetail")}
      submit={t("projects.create")}
      wrong={problem !== undefined || wrong}
      busy={creation.isPending}
      error={creation.error}
      lines={refused?.rest}
      send={() => creation.mutate()}
      onClose={onClose}
    >
      {(tried) => (
        <>
          <div className="grid items-start gap-4 sm:grid-cols-2">
            <Field label={t("form.name")} hint={t("projects.nameHint")} error={(tried ? problem : undefined) ?? refused?.fields.name}>
              {(props) => <Input {...props} name="name" autoComplete="off" autoCapitalize="none" maxLength={63} value={name} onChange={(event) => setName(event.target.value)} />}
            </Field>
            <Field label={t("form.displayName")} optional>
              {(props) => <Input {...props} name="displayName" autoComplete="off" value={displayName} onChange={(event) => setDisplayName(event.target.value)} />}
            </Field>
          </div>
          <Field label={t("projects.description")} optional>
            {(props) => <TextArea {...props} name="description" rows={2} className="min-h-16! font-sans! text-table!" value={description} onChange={(event) => setDescription(event.target.value)} />}
          </Field>
          <fieldset className="flex flex-col gap-3 border-t border-line pt-4">
            <legend className="float-left text-table font-semibold">{t("projects.column.clusters")}</legend>
            <p className="clear-both text-caption text-ink-soft">{t("projects.clustersHint")}</p>
            {choices?.length === 0 || !choices ? <p className="text-table text-ink-faint">{t("projects.noClusterToChoose")}</p> : null}
            {choices?.map(({ name: cluster, unfit }) => (
              <div key={cluster} className="rounded-lg border border-line px-3 py-2.5">
                <Checkbox checked={cluster in quotas} disabled={unfit !== undefined} label={cluster} hint={unfit} onChange={(on) => choose(cluster, on)} />
                {quotas[cluster] && (
                  <div role="group" aria-label={t("projects.editQuotaOf", { name: cluster })} className="mt-3 border-t border-line pt-3">
                    <QuotaFields quota={quotas[cluster]} tried={tried} onChange={(quota) => setQuotas((old) => ({ ...old, [cluster]: quota }))} />
                  </div>
                )}
              </div>
            ))}
            {refused?.fields.clusters && (
              <p role="alert" className="text-caption text-bad-text">
                {refused.fields.clusters}
              </p>
            )}
          </fieldset>
        </>
      )}
    </FormDialog>
  );
}

type Clusters = NonNullable<NonNullable<ProjectView["object"]["spec"]>["clusters"]>;

/** What the project's clusters become, written as a whole: what others have changed meanwhile stays, and what no page knows of. */
function useChange(view: ProjectView, onDone: () => void) {
  const { projects } = useShell();
  return useMutation({
    mutationFn: (of: (clusters: Clusters) => Clusters) => {
      const object = projects.getSnapshot().items?.find(({ metadata }) => metadata.name === view.name) ?? view.object;
      return patchProjectClusters(object, of(object.spec?.clusters ?? []));
    },
    onSuccess: () => {
      projects.retry();
      onDone();
    },
  });
}

export function QuotaDialog({ view, cluster, onClose }: { view: ProjectView; cluster: string; onClose: () => void }) {
  const { t } = useTranslation();
  const [quota, setQuota] = useState<Amounts>(() => view.clusters.find(({ name }) => name === cluster)?.quota ?? {});
  const change = useChange(view, () => {
    toast(t("projects.quotaChanged", { name: view.title, cluster }));
    onClose();
  });
  return (
    <FormDialog
      title={t("projects.quotaTitle", { name: view.title, cluster })}
      subtitle={t("projects.quotaDetail")}
      submit={t("action.save")}
      wrong={wrongAmounts(quota).length > 0}
      busy={change.isPending}
      error={change.error}
      send={() => change.mutate((clusters) => clusters.map((each) => (each.name === cluster ? { ...each, quota: filled(quota) } : each)))}
      onClose={onClose}
    >
      {(tried) => <QuotaFields quota={quota} tried={tried} onChange={setQuota} />}
    </FormDialog>
  );
}

export function AddClusterDialog({ view, onClose }: { view: ProjectView; onClose: () => void }) {
  const { t } = useTranslation();
  const choices = useChoices()?.filter(({ name }) => !view.clusters.some((cluster) => cluster.name === name && !cluster.leaving));
  const [cluster, setCluster] = useState("");
  const [quota, setQuota] = useState<Amounts>({});
  const change = useChange(view, () => {
    toast(t("projects.clusterAdded", { name: view.title, cluster }));
    onClose();
  });
  return (
    <FormDialog
      title={t("projects.addClusterTitle", { name: view.title })}
      subtitle={t("projects.addClusterDetail")}
      submit={t("projects.addCluster")}
      wrong={cluster === "" || wrongAmounts(quota).length > 0}
      busy={change.isPending}
      error={change.error}
      send={() => change.mutate((clusters) => [...clusters, { name: cluster, quota: filled(quota) }])}
      onClose={onClose}
    >
      {(tried) => (
        <>
          <Field label={t("level.cluster")} error={tried && cluster === "" ? t("form.required") : undefined}>
            {(props) => (
              <Select {...props} name="cluster" value={cluster} onChange={(event) => setCluster(event.target.value)}>
                <option value="">{t("bindings.choose")}</option>
                {choices?.map(({ name, unfit }) => (
                  <option key={name} value={name} disabled={unfit !== undefined}>
                    {unfit === undefined ? name : t("projects.unfit", { name, why: unfit })}
                  </option>
                ))}
              </Select>
            )}
          </Field>
          <QuotaFields quota={quota} tried={tried} onChange={setQuota} />
        </>
      )}
    </FormDialog>
  );
}

export function RemoveClusterDialog({ view, cluster, onClose }: { view: ProjectView; cluster: string; onClose: () => void }) {
  const { t } = useTranslation();
  const change = useChange(view, () => undefined);
  const takes = view.object.spec?.clusterDeletePolicy === "Delete";
  return (
    <ConfirmDialog
      title={t("projects.removeClusterTitle", { name: view.title, cluster })}
      effects={[takes ? t("projects.namespacesGo") : t("projects.namespacesStay"), t("projects.rightsEnd")]}
      submit={t("projects.removeCluster")}
      {...(takes ? { typed: { label: t("projects.typeCluster"), name: cluster } } : {})}
      run={() => change.mutateAsync((clusters) => clusters.filter(({ name }) => name !== cluster))}
      onDone={() => {
        toast(t("projects.clusterRemoved", { name: view.title, cluster }));
        onClose();
      }}
      onClose={onClose}
    >
      <Dependents view={view} clusters={[cluster]} />
    </ConfirmDialog>
  );
}

export function RemoveProjectDialog({ view, onDone, onClose }: { view: ProjectView; onDone: () => void; onClose: () => void }) {
  const { t } = useTranslation();
  const { projects, bindings } = useShell();
  const { items } = useStore(bindings);
  const own: ReclaimPolicy = view.object.spec?.clusterDeletePolicy === "Delete" ? "Delete" : "Retain";
  const [reclaim, setReclaim] = useState(own);
  const count = items?.map(bindingView).filter(({ places }) => places.some(({ project }) => project === view.name)).length;
  return (
    <ConfirmDialog
      title={t("projects.removeTitle", { name: view.title })}
      effects={[reclaim === "Delete" ? t("projects.namespacesGo") : t("projects.namespacesStay"), t("projects.rightsEnd"), ...(count ? [t("projects.bindingsEnd", { count })] : [])]}
      submit={t("projects.removeSubmit")}
      typed={{ label: t("projects.typeName"), name: view.name }}
      run={() => deleteProject(view.name, reclaim === own ? undefined : reclaim)}
      onDone={() => {
        toast(t("projects.removed", { name: view.title }));
        projects.retry();
        onClose();
        onDone();
      }}
      onClose={onClose}
    >
      <Segmented
        label={t("projects.whenLeft")}
        value={reclaim}
        onChange={setReclaim}
        options={[
          { value: "Retain", label: t("projects.keep") },
          { value: "Delete", label: t("projects.takeAlong") },
        ]}
      />
      <Dependents view={view} clusters={view.clusters.map(({ name }) => name)} />
    </ConfirmDialog>
  );
}

/** The namespaces that it is about, by cluster. */
function Dependents({ view, clusters }: { view: ProjectView; clusters: readonly string[] }) {
  const { t } = useTranslation();
  const queries = useQueries({ queries: clusters.map((cluster) => ({ queryKey: ["namespaces", view.name, cluster], queryFn: () => readProjectNamespaces(view.name, cluster), retry: false })) });
  return (
    <section aria-busy={queries.some(({ isPending }) => isPending)}>
      <h3 className="mb-1 text-table">{t("projects.dependents")}</h3>
      {/* A region that scrolls must be reachable by keyboard. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div role="region" aria-label={t("projects.dependents")} tabIndex={0} className="max-h-40 overflow-y-auto rounded-lg border border-line bg-surface text-table">
        <ul>
          {clusters.map((cluster, at) => {
            const query = queries[at];
            const names = query?.data?.items.map(({ metadata }) => metadata.name);
            return (
              <li key={cluster} className="border-b border-line px-3 py-1.5 last:border-0">
                <span className="font-medium break-all">{cluster}</span>
                <span className="block text-caption break-words text-ink-soft">
                  {names === undefined ? (query?.error ? query.error.message || t("error.unreachable") : t("list.loading")) : names.join(", ") || t("projects.noNamespaces")}
                </span>
              </li>
            );
          })}
          {clusters.length === 0 && <li className="px-3 py-1.5 text-ink-faint">{t("projects.noClusters")}</li>}
        </ul>
      </div>
    </section>
  );
}
