// Namespaces come into a project, and leave it.
import { useMutation, useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { createLimitRange, createNamespace, createQuota, deleteNamespace, importNamespace, limitRangeObject, namespaceObject, POD_SECURITY_LEVELS, readNamespaces, rightsArrive, takeOutNamespace, type Limits, type PodSecurityLevel } from "../api/namespaces";
import { ApiError, fieldErrors } from "../api/status";
import { searchResources, type Amounts, type Namespace } from "../api/tenancy";
import { createNamespaceCommand, deleteNamespaceCommand, importNamespaceCommand, takeOutNamespaceCommand } from "../lib/commands";
import { reveal } from "../lib/reveal";
import { useShell, useStore } from "../shell/context";
import { allOf, useRightsIn, useRightWords } from "../shell/rights";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Field, Input, Select } from "../ui/field";
import { FormDialog } from "../ui/form-dialog";
import { Notice } from "../ui/message";
import { Queried } from "../ui/panel";
import { toast } from "../ui/toast";
import { useChoices } from "./cluster-choices";
import { bindingView, readAmounts, type ProjectView } from "./model";
import { boundsOf, changeNeeds, creationNeeds, isFree, LIMIT_KINDS, LIMIT_RESOURCES, limitProblems, loosening, nameProblem, NO_LIMITS, usedUp } from "./namespaces";
import { useProjectQuota } from "./project-quota";
import { filled, QuotaFields, unfitAmounts, useQuotaName } from "./quota-fields";

interface Props {
  view: ProjectView;
  cluster: string;
  onClose: () => void;
}

/** What lists and quotas say is old now. */
function forget(queries: QueryClient, project: string, cluster: string): void {
  for (const queryKey of [["namespaces", project, cluster], ["projectquota", cluster, project], ["quotas", cluster], ["clusternamespaces", cluster]]) void queries.invalidateQueries({ queryKey });
}

const filledLimits = ({ defaultRequest, default: limit, max }: Limits): Limits => ({ defaultRequest: filled(defaultRequest), default: filled(limit), max: filled(max) });
const hasSome = (amounts: Amounts) => Object.keys(amounts).length > 0;

type Bound = "quota" | "limits";

/** What of it is there already; it is made one after the other. */
interface Made {
  namespace: boolean;
  bounds: ReadonlySet<Bound>;
}

export function CreateNamespaceDialog({ view, cluster: first, onClose }: Props) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const quotaName = useQuotaName();
  const rightWords = useRightWords();
  const choices = useChoices();
  const [cluster, setCluster] = useState(first);
  const [name, setName] = useState(`${view.name}-`);
  const [displayName, setDisplayName] = useState("");
  const [podSecurity, setPodSecurity] = useState<PodSecurityLevel>();
  const [quota, setQuota] = useState<Amounts>({});
  const [limits, setLimits] = useState(NO_LIMITS);
  const [made, setMade] = useState<Made>({ namespace: false, bounds: new Set() });

  const wanted = view.clusters.find((each) => each.name === cluster)?.quota ?? {};
  const given = useProjectQuota(view.name, cluster, wanted);
  const used = given.data?.status && readAmounts(given.data.status.used);
  const bounds = boundsOf(given.data?.spec?.hard ? readAmounts(given.data.spec.hard) : wanted, used);
  const gone = made.namespace ? [] : usedUp(bounds);

  const needs = creationNeeds(view.name, cluster);
  const [mayLoosen, ...mayCreate] = useRightsIn([loosening(cluster, ""), ...needs]);
  const guard = allOf(needs, mayCreate);

  const hard = filled(quota);
  const range = filledLimits(limits);
  const bounding: Bound[] = [...(hasSome(hard) ? ["quota" as const] : []), ...(LIMIT_KINDS.some((kind) => hasSome(range[kind])) ? ["limits" as const] : [])];
  const draft = { project: view.name, cluster, name, displayName: displayName.trim(), podSecurity };

  const creation = useMutation({
    mutationFn: async () => {
      if (!made.namespace) {
        await createNamespace(draft);
        setMade({ namespace: true, bounds: new Set() });
        forget(queries, view.name, cluster);
      }
      const missing = bounding.filter((bound) => !made.bounds.has(bound));
      if (missing.length > 0) await rightsArrive(cluster, name);
      const make = { quota: () => createQuota(cluster, name, hard), limits: () => createLimitRange(cluster, name, range) };
      const results = await Promise.allSettled(missing.map((bound) => make[bound]()));
      const failed = missing.flatMap((bound, at) => {
        const result = results[at];
        return result?.status === "rejected" ? [{ bound, error: result.reason as Error }] : [];
      });
      setMade({ namespace: true, bounds: new Set([...made.bounds, ...missing.filter((bound) => !failed.some((one) => one.bound === bound))]) });
      forget(queries, view.name, cluster);
      return failed;
    },
    onSuccess: (failed) => {
      if (failed.length > 0) return;
      toast(t("namespaces.created", { name, cluster }));
      onClose();
    },
  });
  const failed = creation.data ?? [];
  const exists = creation.error instanceof ApiError && creation.error.reason === "AlreadyExists";
  const refused = creation.error instanceof ApiError ? (exists ? { fields: { name: t("namespaces.taken") }, rest: [] } : fieldErrors(creation.error, ["name"])) : undefined;
  const prefix = `${view.name}-`;
  const problem = nameProblem(name, view.name);
  const wrongLimits = limitProblems(limits);
  const blocked = !made.namespace && (gone.length > 0 || guard.may === false);

  return (
    <FormDialog
      title={t("namespaces.createTitle", { name: view.title })}
      subtitle={t("namespaces.createDetail")}
      submit={made.namespace ? t("namespaces.again") : t("namespaces.create")}
      {...(made.namespace ? { leave: t("namespaces.leaveSo") } : {})}
      wrong={problem !== undefined || unfitAmounts(quota, made.bounds.has("quota") ? {} : bounds) || wrongLimits.size > 0}
      blocked={blocked}
      busy={creation.isPending}
      error={creation.error}
      lines={refused?.rest}
      command={createNamespaceCommand({ ...draft, hard, object: podSecurity && namespaceObject(draft), limitRange: bounding.includes("limits") ? limitRangeObject(range) : undefined })}
      send={() => creation.mutate()}
      onClose={onClose}
    >
      {(tried) => (
        <>
          {guard.may === false && !made.namespace && (
            <Notice tone="bad">
              {t("rights.missing")} <span className="font-mono">{rightWords(guard.access, guard.cluster)}</span>
            </Notice>
          )}
          {gone.length > 0 && <Notice tone="bad">{t("namespaces.usedUp", { what: gone.map((key) => t("namespaces.usedUpWhat", { name: quotaName(key), hard: bounds[key]?.hard })).join(t("place.separator")) })}</Notice>}
          <fieldset disabled={made.namespace || creation.isPending} className="flex flex-col gap-4">
            <div className="grid items-start gap-4 sm:grid-cols-2">
              <Field label={t("level.cluster")}>
                {(props) => (
                  <Select {...props} name="cluster" value={cluster} onChange={(event) => setCluster(event.target.value)}>
                    {view.clusters
                      .filter(({ leaving }) => !leaving)
                      .map((each) => {
                        const why = choices?.find((choice) => choice.name === each.name)?.unfit;
                        return (
                          <option key={each.name} value={each.name} disabled={why !== undefined}>
                            {why === undefined ? each.name : t("projects.unfit", { name: each.name, why })}
                          </option>
                        );
                      })}
                  </Select>
                )}
              </Field>
              <Field label={t("form.name")} hint={t("namespaces.nameHint", { prefix })} error={(tried && problem ? t(`namespaceName.${prefix.length > 62 ? "noRoom" : problem}`, { prefix }) : undefined) ?? refused?.fields.name}>
                {(props) => <Input {...props} name="name" autoComplete="off" autoCapitalize="none" maxLength={63} value={name} onChange={(event) => setName(event.target.value)} />}
              </Field>
              <Field label={t("form.displayName")} optional>
                {(props) => <Input {...props} name="displayName" autoComplete="off" value={displayName} onChange={(event) => setDisplayName(event.target.value)} />}
              </Field>
              <Field label={t("namespaces.podSecurity")} hint={mayLoosen === false ? t("namespaces.securityMissing", { right: rightWords(loosening(cluster, "").access, cluster) }) : t("namespaces.securityHint")}>
                {(props) => (
                  <Select {...props} name="podSecurity" value={podSecurity ?? ""} onChange={(event) => setPodSecurity(POD_SECURITY_LEVELS.find((level) => level === event.target.value))}>
                    <option value="">{t("namespaces.clusterDefault")}</option>
                    {POD_SECURITY_LEVELS.map((level) => (
                      <option key={level} value={level} disabled={level !== "restricted" && mayLoosen === false}>
                        {t(`podSecurity.${level}`)}
                      </option>
                    ))}
                  </Select>
                )}
              </Field>
            </div>
          </fieldset>
          <Group title={t("namespaces.bounds")} hint={Object.keys(bounds).length > 0 ? t("namespaces.boundsHint") : t("namespaces.boundsHintFree")} done={made.bounds.has("quota")} busy={creation.isPending}>
            {given.error && (
              <Notice tone="stale" live={false}>
                {t("namespaces.boundsUnread")}
                <span className="block text-caption">{given.error.message || t("error.unreachable")}</span>
              </Notice>
            )}
            <QuotaFields quota={quota} tried={tried} bounds={made.bounds.has("quota") ? {} : bounds} onChange={setQuota} />
          </Group>
          <Group title={t("namespaces.limits")} hint={t("namespaces.limitsHint")} done={made.bounds.has("limits")} busy={creation.isPending}>
            <div className="grid grid-cols-2 items-start gap-3">
              {LIMIT_KINDS.flatMap((kind) =>
                LIMIT_RESOURCES.map((resource) => {
                  const wrong = tried ? wrongLimits.get(`${kind}.${resource}`) : undefined;
                  return (
                    <Field key={`${kind}.${resource}`} label={t(`limit.${kind}_${resource}`)} error={wrong && t(`limitProblem.${wrong}`)}>
                      {(props) => (
                        <Input
                          {...props}
                          name={`${kind}.${resource}`}
                          autoComplete="off"
                          autoCapitalize="none"
                          className="tabular"
                          value={limits[kind][resource] ?? ""}
                          onChange={(event) => setLimits({ ...limits, [kind]: { ...limits[kind], [resource]: event.target.value } })}
                        />
                      )}
                    </Field>
                  );
                }),
              )}
            </div>
          </Group>
          {failed.length > 0 && !creation.isPending && (
            <div ref={reveal}>
              <Notice tone="bad">
                {t("namespaces.madeWithout", { name })}
                <ul className="my-1 list-disc pl-5">
                  {failed.map(({ bound, error }) => (
                    <li key={bound}>{t(`namespaceLacks.${bound}`, { why: error.message || t("error.unreachable") })}</li>
                  ))}
                </ul>
                {t("namespaces.madeRetry")}
              </Notice>
            </div>
          )}
        </>
      )}
    </FormDialog>
  );
}

interface GroupProps {
  title: string;
  hint: string;
  /** It is there, and changed elsewhere. */
  done: boolean;
  busy: boolean;
  children: ReactNode;
}

function Group({ title, hint, done, busy, children }: GroupProps) {
  return (
    <fieldset disabled={done || busy} className="flex min-w-0 flex-col gap-3 border-t border-line pt-4">
      <legend className="float-left text-table font-semibold">{title}</legend>
      <p className="-mt-2 text-caption text-ink-soft">{hint}</p>
      {children}
    </fieldset>
  );
}

export function ImportNamespaceDialog({ view, cluster, onClose }: Props) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const query = useQuery({ queryKey: ["clusternamespaces", cluster], queryFn: () => readNamespaces(cluster), retry: false });
  const free = query.data?.filter(isFree);
  const change = useMutation({
    mutationFn: (namespace: Namespace) => importNamespace(cluster, namespace, view.name),
    onSuccess: () => {
      toast(t("namespaces.imported", { name, project: view.title }));
      onClose();
    },
    onSettled: () => forget(queries, view.name, cluster),
  });
  const chosen = free?.find(({ metadata }) => metadata.name === name);
  return (
    <FormDialog
      title={t("namespaces.importTitle", { name: view.title })}
      subtitle={t("namespaces.importDetail", { cluster })}
      submit={t("namespaces.import")}
      wrong={chosen === undefined}
      blocked={free === undefined || free.length === 0}
      busy={change.isPending}
      error={change.error}
      command={importNamespaceCommand(cluster, name || "NAME", view.name)}
      send={() => chosen && change.mutate(chosen)}
      onClose={onClose}
    >
      {(tried) => <Queried query={query}>{() => (free && free.length > 0 ? <FreeChoice cluster={cluster} free={free} name={name} tried={tried} onChange={setName} /> : <p className="text-table text-ink-soft">{t("namespaces.importNone")}</p>)}</Queried>}
    </FormDialog>
  );
}

function FreeChoice({ cluster, free, name, tried, onChange }: { cluster: string; free: readonly Namespace[]; name: string; tried: boolean; onChange: (name: string) => void }) {
  const { t } = useTranslation();
  const may = useRightsIn(free.flatMap(({ metadata }) => changeNeeds(cluster, metadata.name)));
  return (
    <Field label={t("namespaces.importChoice")} hint={t("namespaces.system")} error={tried && name === "" ? t("form.required") : undefined}>
      {(props) => (
        <Select {...props} name="namespace" value={name} onChange={(event) => onChange(event.target.value)}>
          <option value="">{t("bindings.choose")}</option>
          {free.map(({ metadata }, at) => (
            <option key={metadata.name} value={metadata.name} disabled={!may[at]}>
              {may[at] === false ? t("namespaces.importMissing", { name: metadata.name }) : metadata.name}
            </option>
          ))}
        </Select>
      )}
    </Field>
  );
}

type OneProps = Props & { namespace: Namespace };

/** What taking a namespace out and deleting it have in common. */
function useEnd({ view, cluster, namespace, onClose }: OneProps, said: "namespaces.takenOut" | "namespaces.deleted") {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const { name } = namespace.metadata;
  const ending = useBindingsEnd(view.name, cluster, name);
  const onDone = () => {
    toast(t(said, { name }));
    forget(queries, view.name, cluster);
    onClose();
  };
  return { t, name, ending, onDone };
}

export function TakeOutNamespaceDialog(props: OneProps) {
  const { cluster, namespace, onClose } = props;
  const { t, name, ending, onDone } = useEnd(props, "namespaces.takenOut");
  return (
    <ConfirmDialog
      title={t("namespaces.takeOutTitle", { name })}
      effects={[t("namespaces.staysAsItIs"), t("namespaces.rolesEnd"), ...ending, t("namespaces.quotaBack"), t("namespaces.noWayBack")]}
      submit={t("namespaces.takeOutSubmit")}
      command={takeOutNamespaceCommand(cluster, name)}
      run={() => takeOutNamespace(cluster, namespace)}
      onDone={onDone}
      onClose={onClose}
    />
  );
}

export function DeleteNamespaceDialog(props: OneProps) {
  const { cluster, namespace, onClose } = props;
  const { t, name, ending, onDone } = useEnd(props, "namespaces.deleted");
  return (
    <ConfirmDialog
      title={t("namespaces.deleteTitle", { name })}
      effects={[t("namespaces.allDies"), ...ending, t("namespaces.quotaBack")]}
      submit={t("namespaces.deleteSubmit")}
      typed={{ label: t("namespaces.typeName"), name }}
      command={deleteNamespaceCommand(cluster, name)}
      run={() => deleteNamespace(cluster, namespace)}
      onDone={onDone}
      onClose={onClose}
    >
      <Inside cluster={cluster} namespace={name} />
    </ConfirmDialog>
  );
}

/** Roles that were given in this namespace mean nothing without it. */
function useBindingsEnd(project: string, cluster: string, namespace: string): string[] {
  const { t } = useTranslation();
  const { items } = useStore(useShell().bindings);
  const count = items?.map(bindingView).filter(({ places }) => places.some((place) => place.project === project && place.cluster === cluster && place.namespace === namespace)).length;
  return count ? [t("projects.bindingsEnd", { count })] : [];
}

/** Kinds of what would go along. */
const MOST_KINDS = 12;

function Inside({ cluster, namespace }: { cluster: string; namespace: string }) {
  const { t } = useTranslation();
  const query = useQuery({ queryKey: ["inside", cluster, namespace], queryFn: () => searchResources({ cluster, namespace, limit: "1" }), gcTime: 0, retry: false });
  // The namespace itself is found there, too.
  const counts = (query.data?.counts ?? []).flatMap(({ group, resource, count }) => (resource && resource !== "namespaces" && count ? [{ kind: group ? `${resource}.${group}` : resource, count }] : [])).toSorted((a, b) => b.count - a.count);
  return (
    <section aria-busy={query.isPending}>
      <h3 className="mb-1 text-table">{t("namespaces.inside")}</h3>
      {query.error ? (
        <p className="text-caption break-words text-ink-soft">{t("namespaces.insideUnread", { why: query.error.message || t("error.unreachable") })}</p>
      ) : query.data && counts.length === 0 ? (
        <p className="text-table text-ink-soft">{t("namespaces.insideNone")}</p>
      ) : (
        <ul className="rounded-lg border border-line bg-surface text-table">
          {query.isPending && <li className="px-3 py-1.5 text-ink-faint">{t("list.loading")}</li>}
          {counts.slice(0, MOST_KINDS).map(({ kind, count }) => (
            <li key={kind} className="flex items-baseline gap-3 border-b border-line px-3 py-1 last:border-0">
              <span className="min-w-0 flex-1 font-mono text-caption break-all">{kind}</span>
              <span className="tabular">{count}</span>
            </li>
          ))}
          {counts.length > MOST_KINDS && <li className="px-3 py-1 text-caption text-ink-faint">{t("namespaces.insideMore")}</li>}
        </ul>
      )}
    </section>
  );
}
