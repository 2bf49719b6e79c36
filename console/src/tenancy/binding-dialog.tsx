// Give a role. What it gives is shown before it is given.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useId, useRef, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { CLUSTERS_PATH, HUB_NAME, type Cluster } from "../api/cluster";
import { GROUPS_PATH, USERS_PATH, type Group, type User } from "../api/directory";
import { ApiError, fieldErrors } from "../api/status";
import { createBinding, OWN_PROJECTS_PATH, previewBindings, PROJECTS_PATH, readProjectNamespaces, ROLES_PATH, type BindingDraft, type Project, type RoleTemplate } from "../api/tenancy";
import { reveal } from "../lib/reveal";
import { useShell } from "../shell/context";
import { useListed } from "../shell/listed";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Failure } from "../ui/failure";
import { Field, Input, Select } from "../ui/field";
import { Segmented } from "../ui/segmented";
import { toast } from "../ui/toast";
import { Changes, Unknown } from "./changes";
import { LEVELS, type Level } from "./keys";
import { projectView, roleView } from "./model";

interface Props {
  /** The one that the role is given in. */
  project?: string;
  onClose: () => void;
}

interface Values {
  kind: "User" | "Group";
  subject: string;
  role: string;
  project: string;
  cluster: string;
  namespace: string;
}

type Problem = Partial<Record<keyof Values, string>>;

/** Roles that every platform has, where they may not be listed. */
const SHIPPED = [
  { name: "project-admin-system", level: "project" },
  { name: "namespace-admin-system", level: "namespace" },
  { name: "namespace-developer-system", level: "namespace" },
] as const;

interface RoleChoice {
  name: string;
  title: string;
  level: Level;
}

function useRoles(within: boolean): readonly RoleChoice[] {
  const { i18n } = useTranslation();
  const items = useListed<RoleTemplate>(ROLES_PATH);
  const known = items
    ? items.map(roleView(i18n.language)).flatMap(({ name, title, level }) => (level === undefined ? [] : [{ name, title, level }]))
    : SHIPPED.map((role) => ({ ...role, title: role.name }));
  return within ? known.filter(({ level }) => level === "project" || level === "namespace") : known;
}

/** An object needs a name, which nobody has to know. */
function draftOf({ kind, subject, role, project, cluster, namespace }: Values, level: Level): BindingDraft {
  const place = {
    ...(project && (level === "project" || level === "namespace") ? { project } : {}),
    ...(cluster && level !== "platform" ? { cluster } : {}),
    ...(namespace && level === "namespace" ? { namespace } : {}),
  };
  const random = [...crypto.getRandomValues(new Uint8Array(4))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const name = kind === "User" ? subject.trim().toLowerCase() : subject.trim();
  return {
    metadata: { name: `${role}-${random}` },
    spec: { subjects: [{ kind, name }], roleRef: role, scope: level, ...(level === "platform" ? {} : { constraint: [place] }) },
  };
}

const FIELDS = ["subjects", "roleRef", "constraint", "scope"] as const;

export function BindingDialog({ project: within, onClose }: Props) {
  const { t } = useTranslation();
  const { bindings } = useShell();
  const roles = useRoles(within !== undefined);
  const [values, setValues] = useState<Values>({ kind: "User", subject: "", role: "", project: within ?? "", cluster: "", namespace: "" });
  const [tried, setTried] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const level = roles.find(({ name }) => name === values.role)?.level;
  const preview = useMutation({ mutationFn: async (draft: BindingDraft) => ({ draft, found: await previewBindings({ create: [draft] }) }) });
  const creation = useMutation({
    mutationFn: createBinding,
    onSuccess: () => {
      toast(t("bindings.created", { name: values.subject.trim() }));
      bindings.retry();
      onClose();
    },
  });
  const failure = creation.error ?? preview.error;
  const refused = failure instanceof ApiError ? fieldErrors(failure, FIELDS) : undefined;
  useEffect(() => {
    if (failure) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [failure]);

  /** Any edit makes what was learned about the old values worthless. */
  const set = (change: Partial<Values>) => {
    preview.reset();
    creation.reset();
    setValues((old) => ({ ...old, ...change }));
  };
  const needed: Problem = {};
  const required = t("form.required");
  if (values.subject.trim() === "") needed.subject = required;
  else if (values.kind === "User" && !/.@./.test(values.subject)) needed.subject = t("bindings.badEmail");
  if (values.role === "") needed.role = required;
  if ((level === "project" || level === "namespace") && values.project === "") needed.project = required;
  if ((level === "cluster" || level === "namespace") && values.cluster === "") needed.cluster = required;
  if (level === "namespace" && values.namespace === "") needed.namespace = required;
  const errors = tried ? needed : {};
  const busy = preview.isPending || creation.isPending;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    const [first] = Object.keys(needed);
    if (first) return form.current?.querySelector<HTMLElement>(`[name="${first}"]`)?.focus();
    if (busy || level === undefined) return;
    if (preview.data) creation.mutate(preview.data.draft);
    else preview.mutate(draftOf(values, level));
  };
  return (
    <Dialog
      title={within === undefined ? t("bindings.createTitle") : t("bindings.createIn", { name: within })}
      subtitle={t("bindings.createDetail")}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t("action.cancel")}</Button>
          <Button type="submit" form="create-binding" look="solid" busy={busy} disabled={busy}>
            {preview.data ? t("bindings.give") : t("bindings.preview")}
          </Button>
        </>
      }
    >
      <form id="create-binding" ref={form} onSubmit={submit} noValidate className="flex flex-col gap-4">
        <SubjectFields values={values} set={set} error={errors.subject ?? refused?.fields.subjects} />
        <Field label={t("bindings.column.role")} error={errors.role ?? refused?.fields.roleRef ?? refused?.fields.scope}>
          {(props) => (
            <Select {...props} name="role" value={values.role} onChange={(event) => set({ role: event.target.value })}>
              <option value="">{t("bindings.choose")}</option>
              {LEVELS.filter((known) => roles.some((role) => role.level === known)).map((known) => (
                <optgroup key={known} label={t(`levelDetail.${known}`)}>
                  {roles
                    .filter((role) => role.level === known)
                    .map(({ name, title }) => (
                      <option key={name} value={name}>
                        {title}
                      </option>
                    ))}
                </optgroup>
              ))}
            </Select>
          )}
        </Field>
        {level === "platform" && <p className="text-table text-ink-soft">{t("bindings.everywhere")}</p>}
        {level !== undefined && level !== "platform" && <PlaceFields level={level} within={within} values={values} errors={errors} refused={refused?.fields.constraint} set={set} />}
        <div aria-live="polite">
          {preview.data && (
            <section ref={reveal} className="rounded-lg border border-line bg-well p-4">
              <h3 className="mb-2 text-table">{t("bindings.gains")}</h3>
              <Changes changes={preview.data.found.gains} label={t("bindings.gains")} none={t("bindings.gainsNothing")} />
              <Unknown preview={preview.data.found} />
            </section>
          )}
        </div>
        {failure && (!refused || refused.rest.length > 0) && (
          <div ref={reveal}>
            <Failure error={failure} {...(refused ? { lines: refused.rest } : {})} />
          </div>
        )}
      </form>
    </Dialog>
  );
}

interface PartProps {
  values: Values;
  set: (change: Partial<Values>) => void;
}

function SubjectFields({ values: { kind, subject }, set, error }: PartProps & { error: string | undefined }) {
  const { t } = useTranslation();
  const people = useListed<User>(USERS_PATH);
  const teams = useListed<Group>(GROUPS_PATH);
  const suggestions = useId();
  const known = kind === "User" ? people?.map(({ spec }) => spec?.email) : teams?.map(({ metadata, spec }) => spec?.name ?? metadata.name);
  return (
    <>
      <Segmented
        label={t("bindings.column.subject")}
        value={kind}
        onChange={(next) => set({ kind: next, subject: "" })}
        options={(["User", "Group"] as const).map((value) => ({ value, label: t(`subject.${value}`) }))}
      />
      <Field label={kind === "User" ? t("bindings.email") : t("bindings.group")} error={error}>
        {(props) => (
          <Input {...props} name="subject" list={suggestions} autoComplete="off" autoCapitalize="none" value={subject} onChange={(event) => set({ subject: event.target.value })} />
        )}
      </Field>
      <datalist id={suggestions}>
        {known?.slice(0, 200).map((value) => value && <option key={value} value={value} />)}
      </datalist>
    </>
  );
}

interface PlaceProps extends PartProps {
  level: Exclude<Level, "platform">;
  within: string | undefined;
  errors: Problem;
  refused: string | undefined;
}

function PlaceFields({ level, within, values, errors, refused, set }: PlaceProps) {
  const { t } = useTranslation();
  const projects = useListed<Project>(PROJECTS_PATH, OWN_PROJECTS_PATH);
  const clusters = useListed<Cluster>(CLUSTERS_PATH);
  const project = projects?.map(projectView).find(({ name }) => name === values.project);
  // A role on a cluster is not given for the hub.
  const all = level === "cluster" ? (clusters ?? []).map(({ metadata }) => metadata.name).filter((name) => name !== HUB_NAME) : (project?.clusters.map(({ name }) => name) ?? []);
  return (
    <div className="grid items-start gap-4 sm:grid-cols-2">
      {level !== "cluster" && within === undefined && (
        <Choice name="project" label={t("level.project")} value={values.project} options={(projects ?? []).map(({ metadata }) => metadata.name)} error={errors.project ?? refused} onChange={(next) => set({ project: next, cluster: "", namespace: "" })} />
      )}
      <Choice
        name="cluster"
        label={t("level.cluster")}
        value={values.cluster}
        options={all}
        {...(level === "project" ? { none: t("bindings.allClusters") } : {})}
        error={errors.cluster ?? (level === "cluster" || within !== undefined ? refused : undefined)}
        onChange={(cluster) => set({ cluster, namespace: "" })}
      />
      {level === "namespace" && <NamespaceChoice key={`${values.project} ${values.cluster}`} values={values} set={set} error={errors.namespace} />}
    </div>
  );
}

function NamespaceChoice({ values: { project, cluster, namespace }, set, error }: PartProps & { error: string | undefined }) {
  const { t } = useTranslation();
  const query = useQuery({ queryKey: ["namespaces", project, cluster], queryFn: () => readProjectNamespaces(project, cluster), enabled: project !== "" && cluster !== "" });
  // Where the list cannot be read, the name can still be known.
  if (query.error) {
    return (
      <Field label={t("level.namespace")} hint={query.error.message} error={error}>
        {(props) => <Input {...props} name="namespace" autoComplete="off" autoCapitalize="none" value={namespace} onChange={(event) => set({ namespace: event.target.value.trim() })} />}
      </Field>
    );
  }
  return <Choice name="namespace" label={t("level.namespace")} value={namespace} options={(query.data?.items ?? []).map(({ metadata }) => metadata.name)} error={error} onChange={(next) => set({ namespace: next })} />;
}

interface ChoiceProps {
  name: string;
  label: string;
  value: string;
  options: readonly string[];
  /** What no choice means. */
  none?: string;
  error: string | undefined;
  onChange: (value: string) => void;
}

function Choice({ name, label, value, options, none, error, onChange }: ChoiceProps) {
  const { t } = useTranslation();
  return (
    <Field label={label} error={error}>
      {(props) => (
        <Select {...props} name={name} value={value} onChange={(event) => onChange(event.target.value)}>
          <option value="">{none ?? t("bindings.choose")}</option>
          {options.map((option) => (
            <option key={option} value={option}>
              {option}
            </option>
          ))}
        </Select>
      )}
    </Field>
  );
}
