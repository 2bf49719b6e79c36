// Add or edit an identity provider. It is tried out, with a real account where it can be, before it is saved.
import { useMutation } from "@tanstack/react-query";
import { X } from "lucide-react";
import { useEffect, useRef, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { createConnector, patchConnector, validateConnector, type ConnectorType } from "../api/directory";
import { ApiError, fieldErrors } from "../api/status";
import { reveal } from "../lib/reveal";
import { safePath } from "../lib/safe-path";
import { useShell, useStore } from "../shell/context";
import { Button } from "../ui/button";
import { Checkbox } from "../ui/checkbox";
import { Dialog } from "../ui/dialog";
import { Failure } from "../ui/failure";
import { Field, Input, Select, TextArea } from "../ui/field";
import { Notice } from "../ui/message";
import { Segmented } from "../ui/segmented";
import { toast } from "../ui/toast";
import { ValidationResult } from "../ui/validation-result";
import {
  CONNECTOR_FIELDS,
  draftOf,
  EXTRA_TYPES,
  fieldsOf,
  isAsked,
  isConnectorId,
  missing,
  patchConfig,
  patched,
  readConfig,
  writeConfig,
  type ConnectorField,
  type ConnectorFieldName,
  type ConnectorValue,
  type ConnectorValues,
  type ExtraClaim,
  type ExtraType,
} from "./connector-fields";
import { CONNECTOR_TYPES, type ProviderView } from "./model";

const callback = () => `${location.origin}/dex/callback`;

export function ConnectorDialog({ view, onClose }: { view?: ProviderView; onClose: () => void }) {
  const { t } = useTranslation();
  const { connectors } = useShell();
  const { items } = useStore(connectors);
  const [type, setType] = useState<ConnectorType>(() => CONNECTOR_TYPES.find((known) => known === view?.type) ?? "ldap");
  const [id, setId] = useState(view?.id ?? "");
  const [name, setName] = useState(view?.title ?? "");
  const [schedule, setSchedule] = useState(view?.schedule ?? "");
  const stored = view?.object.spec?.config;
  const [before] = useState(() => readConfig(type, stored, callback()));
  const [values, setValues] = useState<ConnectorValues>(before);
  const [account, setAccount] = useState({ username: "", password: "" });
  const [tried, setTried] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const running = useRef<AbortController>(undefined);

  const change = patchConfig(type, before, values);
  const draft = () => draftOf(id, name, type, view ? patched(stored, change) : writeConfig(type, values), schedule);
  const trial = useMutation({
    mutationFn: () => {
      running.current = new AbortController();
      return validateConnector(draft(), type === "ldap" && account.username ? account : undefined, running.current.signal);
    },
  });
  const saving = useMutation({
    mutationFn: () => {
      if (!view) return createConnector(draft());
      return patchConnector(view.name, {
        ...(name.trim() === view.title ? {} : { name: name.trim() || id }),
        spec: {
          ...(Object.keys(change).length > 0 ? { config: change } : {}),
          ...(schedule.trim() === (view.schedule ?? "") ? {} : { sync: schedule.trim() ? { schedule: schedule.trim() } : null }),
        },
      });
    },
    onSuccess: () => {
      toast(t("connector.saved", { name: name.trim() || id }));
      onClose();
    },
  });

  const known = fieldsOf(type).map(({ path }) => path);
  const failure = saving.error ?? trial.error;
  const refused = failure instanceof ApiError ? fieldErrors(failure, [...known, "id", "name", "schedule"]) : undefined;
  useEffect(() => {
    if (failure) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [failure]);
  const lacking = missing(type, values, view && before);
  const idProblem = view
    ? undefined
    : id === ""
      ? t("form.required")
      : !isConnectorId(id)
        ? t("connector.badId")
        : items?.some((other) => other.id === id || other.metadata.name === id)
          ? t("connector.taken")
          : undefined;

  /** Any edit makes what was learned about the old values worthless. */
  const edit = (apply: () => void) => {
    running.current?.abort();
    trial.reset();
    saving.reset();
    apply();
  };
  const set = (path: ConnectorFieldName, value: ConnectorValue) => edit(() => setValues((old) => ({ ...old, [path]: value })));
  const choose = (next: ConnectorType) =>
    edit(() => {
      setType(next);
      setValues(readConfig(next, undefined, callback()));
      setTried(false);
    });
  const complete = (): boolean => {
    setTried(true);
    const first = idProblem ? "id" : lacking[0];
    if (!first) return true;
    form.current?.querySelector<HTMLElement>(`[name="${first}"]`)?.focus();
    return false;
  };
  const busy = trial.isPending || saving.isPending;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!complete() || busy) return;
    if (trial.data) saving.mutate();
    else trial.mutate();
  };
  const close = () => {
    running.current?.abort();
    onClose();
  };
  const errorOf = (path: ConnectorFieldName) => (tried && lacking.includes(path) ? t("form.required") : undefined) ?? refused?.fields[path];
  return (
    <Dialog
      title={view ? t("connector.editTitle", { name: view.title }) : t("connector.addTitle")}
      subtitle={t("connector.detail")}
      onClose={close}
      footer={
        <>
          <Button onClick={close}>{t("action.cancel")}</Button>
          {trial.data && (
            <Button busy={trial.isPending} disabled={busy} onClick={() => complete() && trial.mutate()}>
              {t("connector.again")}
            </Button>
          )}
          <Button type="submit" form="connector" look="solid" busy={busy} disabled={busy}>
            {trial.data ? (trial.data.ok ? t("action.save") : t("connector.saveAnyway")) : trial.isPending ? t("connector.trying") : t("connector.try")}
          </Button>
        </>
      }
    >
      <form id="connector" ref={form} onSubmit={submit} noValidate className="flex flex-col gap-5">
        {!view && (
          <Segmented label={t("providers.column.type")} value={type} onChange={choose} options={CONNECTOR_TYPES.map((value) => ({ value, label: value.toUpperCase() }))} />
        )}
        <div className="grid items-start gap-4 sm:grid-cols-2">
          <Field label={t("connector.id")} hint={view ? undefined : t("connector.idHint")} error={(tried ? idProblem : undefined) ?? refused?.fields.id}>
            {(props) => (
              <Input {...props} name="id" autoComplete="off" autoCapitalize="none" disabled={view !== undefined} value={id} onChange={(event) => edit(() => setId(event.target.value))} />
            )}
          </Field>
          <Field label={t("form.displayName")} optional hint={t("connector.nameHint")} error={refused?.fields.name}>
            {(props) => <Input {...props} name="displayName" autoComplete="off" value={name} onChange={(event) => edit(() => setName(event.target.value))} />}
          </Field>
        </div>
        {CONNECTOR_FIELDS[type].map((section) => (
          <fieldset key={section.title} className="flex flex-col gap-3 border-t border-line pt-4">
            <legend className="float-left text-table font-semibold">{t(`connector.section.${section.title}`)}</legend>
            <div className="clear-both grid items-start gap-4 sm:grid-cols-2">
              {section.fields.filter((field) => isAsked(field, values, before)).map((field) => (
                <ConnectorInput key={field.path} field={field} value={values[field.path]} error={errorOf(field.path)} kept={view !== undefined} onChange={(value) => set(field.path, value)} />
              ))}
              {type === "ldap" && section.title === "groups" && (
                <Field label={t("connector.schedule")} optional hint={t("connector.scheduleHint")} error={refused?.fields.schedule}>
                  {(props) => (
                    <Input {...props} name="schedule" autoComplete="off" placeholder="0 2 * * *" className="font-mono text-table" value={schedule} onChange={(event) => edit(() => setSchedule(event.target.value))} />
                  )}
                </Field>
              )}
            </div>
          </fieldset>
        ))}
        <section className="flex flex-col gap-3 rounded-lg border border-line bg-well p-4">
          <h3 className="text-table">{t("connector.trial")}</h3>
          <p className="text-caption text-ink-soft">{type === "ldap" ? t("connector.trialLdap") : t("connector.trialRedirect")}</p>
          {type === "ldap" && (
            <div className="grid items-start gap-4 sm:grid-cols-2">
              <Field label={t("signIn.username")}>
                {(props) => <Input {...props} name="trialUsername" autoComplete="off" autoCapitalize="none" value={account.username} onChange={(event) => edit(() => setAccount((old) => ({ ...old, username: event.target.value })))} />}
              </Field>
              <Field label={t("signIn.password")}>
                {(props) => <Input {...props} name="trialPassword" type="password" autoComplete="off" value={account.password} onChange={(event) => edit(() => setAccount((old) => ({ ...old, password: event.target.value })))} />}
              </Field>
            </div>
          )}
          <div aria-live="polite">
            {trial.data && (
              <div ref={reveal} className="flex flex-col gap-3">
                <Notice tone={trial.data.ok ? "good" : "bad"} live={false}>
                  {trial.data.ok ? t("connector.works") : t("connector.worksNot")}
                </Notice>
                <ValidationResult result={trial.data} />
                <RealAccount url={trial.data.url} />
              </div>
            )}
          </div>
        </section>
        {failure && (!refused || refused.rest.length > 0) && (
          <div ref={reveal}>
            <Failure error={failure} {...(refused ? { lines: refused.rest } : {})} />
          </div>
        )}
      </form>
    </Dialog>
  );
}

/** Leads to the provider, by an address of ours, in a window of its own; the result shows there. */
function RealAccount({ url }: { url: string | undefined }) {
  const { t } = useTranslation();
  const address = safePath(url);
  if (address === "/") return null;
  return (
    <div>
      <Button asChild>
        <a href={address} target="_blank" rel="noopener noreferrer">
          {t("connector.realAccount")}
        </a>
      </Button>
      <p className="mt-1.5 text-caption text-ink-faint">{t("connector.realAccountHint")}</p>
    </div>
  );
}

interface InputProps {
  field: ConnectorField;
  value: ConnectorValue | undefined;
  error: string | undefined;
  /** There is a secret already, which is kept when nothing is typed. */
  kept: boolean;
  onChange: (value: ConnectorValue) => void;
}

const hints: Partial<Record<ConnectorFieldName, "dangerous" | "refused" | "pem" | "metadata" | "groupsKey">> = {
  insecureNoSSL: "dangerous",
  insecureSkipVerify: "refused",
  rootCAData: "pem",
  caData: "pem",
  idpMetadata: "metadata",
  groupsKey: "groupsKey",
};

function ConnectorInput({ field: { path, kind, required, wide, example }, value, error, kept, onChange }: InputProps) {
  const { t } = useTranslation();
  const label = t(`connector.field.${path.replace(".", "_") as FieldKey}`);
  const said = kind === "secret" && kept ? "kept" : hints[path];
  const hint = said && t(`connector.${said}`);
  if (kind === "extra") return <ExtraClaims label={label} claims={value as readonly ExtraClaim[]} onChange={onChange} />;
  if (kind === "flag") {
    return (
      <div className="sm:col-span-2">
        <Checkbox checked={value === true} onChange={onChange} label={label} hint={hint} />
      </div>
    );
  }
  const text = typeof value === "string" ? value : "";
  const long = kind === "pem" || kind === "xml";
  return (
    <div className={long || wide ? "sm:col-span-2" : ""}>
      <Field label={label} optional={!required} hint={hint} error={error}>
        {(props) =>
          long ? (
            <TextArea {...props} name={path} rows={3} className="min-h-20!" value={text} onChange={(event) => onChange(event.target.value)} />
          ) : (
            <Input
              {...props}
              name={path}
              type={kind === "secret" ? "password" : "text"}
              autoComplete="off"
              autoCapitalize="none"
              placeholder={example}
              className="font-mono text-table"
              value={text}
              onChange={(event) => onChange(event.target.value)}
            />
          )
        }
      </Field>
    </div>
  );
}

interface ExtraProps {
  label: string;
  claims: readonly ExtraClaim[];
  onChange: (claims: readonly ExtraClaim[]) => void;
}

/** Claims that are kept with the user, each with what it has to be. */
function ExtraClaims({ label, claims, onChange }: ExtraProps) {
  const { t } = useTranslation();
  const replace = (at: number, change: Partial<ExtraClaim>) => onChange(claims.map((claim, other) => (other === at ? { ...claim, ...change } : claim)));
  return (
    <div role="group" aria-label={label} className="flex flex-col gap-2 sm:col-span-2">
      <div>
        <p className="font-medium" aria-hidden>
          {label}
          <span className="ml-1.5 text-caption font-normal text-ink-faint">{t("form.optional")}</span>
        </p>
        <p className="mt-0.5 text-caption text-ink-faint">{t("connector.extraHint")}</p>
      </div>
      {claims.map(({ field, type }, at) => (
        // Rows have no name of their own; they are added at the end and taken out.
        // oxlint-disable-next-line no-array-index-key
        <div key={at} className="flex items-center gap-2">
          <Input
            aria-label={t("connector.extraField")}
            name="claimExtra"
            autoComplete="off"
            autoCapitalize="none"
            placeholder="department"
            className="min-w-0 flex-1 font-mono text-table"
            value={field}
            onChange={(event) => replace(at, { field: event.target.value })}
          />
          <Select aria-label={t("connector.extraType")} className="w-auto! shrink-0" value={type} onChange={(event) => replace(at, { type: event.target.value as ExtraType })}>
            {EXTRA_TYPES.map((known) => (
              <option key={known} value={known}>
                {t(`connector.extraTypes.${known}`)}
              </option>
            ))}
          </Select>
          <Button look="ghost" size="icon" aria-label={t("connector.extraRemove", { name: field || String(at + 1) })} onClick={() => onChange(claims.filter((_, other) => other !== at))}>
            <X className="size-4" aria-hidden />
          </Button>
        </div>
      ))}
      <div>
        <Button size="small" onClick={() => onChange([...claims, { field: "", type: "string" }])}>
          {t("connector.extraAdd")}
        </Button>
      </div>
    </div>
  );
}

type FieldKey = ConnectorFieldName extends infer Path ? (Path extends `${infer Head}.${infer Tail}` ? `${Head}_${Tail}` : Path & string) : never;
