import { useMutation } from "@tanstack/react-query";
import { useRef, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { createToken } from "../api/identity";
import { ApiError, fieldErrors } from "../api/status";
import { createTokenCommand } from "../lib/commands";
import { serverNow } from "../lib/clock";
import { dateAndTime } from "../lib/time";
import { useClusters } from "../shell/context";
import { Button } from "../ui/button";
import { Checkbox } from "../ui/checkbox";
import { Dialog } from "../ui/dialog";
import { Failure } from "../ui/failure";
import { Field, Input } from "../ui/field";
import { OnceDialog } from "../ui/once-dialog";
import { Terminal } from "../ui/panel";
import { Segmented } from "../ui/segmented";

const DAY_MS = 86_400_000;
const FIELDS = ["description", "expiration", "scope"] as const;
const LIVES = ["7", "30", "90", "date"] as const;
type Life = (typeof LIVES)[number];

/** The day as people mean it: to its end, where they are. */
export function endOfDay(date: string): number {
  const [year = 0, month = 1, day = 1] = date.split("-").map(Number);
  return new Date(year, month - 1, day, 23, 59, 59).getTime();
}

interface Props {
  onCreated: () => void;
  onClose: () => void;
}

export function TokenDialog({ onCreated, onClose }: Props) {
  const { t, i18n } = useTranslation();
  const creation = useMutation({ mutationFn: createToken, onSuccess: onCreated });
  if (creation.data) {
    return (
      <OnceDialog
        title={t("tokens.createdTitle")}
        subtitle={t("tokens.expires", { time: dateAndTime(Date.parse(creation.data.expiration ?? ""), i18n.language) })}
        label={creation.data.description}
        secret={creation.data.token}
        onClose={onClose}
      />
    );
  }
  return <Ask busy={creation.isPending} error={creation.error} onSubmit={creation.mutate} onClose={onClose} />;
}

interface AskProps {
  busy: boolean;
  error: Error | null;
  onSubmit: (body: Parameters<typeof createToken>[0]) => void;
  onClose: () => void;
}

function Ask({ busy, error, onSubmit, onClose }: AskProps) {
  const { t } = useTranslation();
  const { items } = useClusters();
  const [description, setDescription] = useState("");
  const [life, setLife] = useState<Life>("30");
  const [date, setDate] = useState("");
  const [readOnly, setReadOnly] = useState(false);
  const [only, setOnly] = useState(false);
  const [clusters, setClusters] = useState<readonly string[]>([]);
  const [tried, setTried] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const refused = error instanceof ApiError ? fieldErrors(error, FIELDS) : undefined;

  const until = life === "date" ? (date ? endOfDay(date) : Number.NaN) : serverNow() + Number(life) * DAY_MS;
  const problems = {
    description: description.trim() ? undefined : t("form.required"),
    expiration: Number.isNaN(until) ? t("tokens.needDate") : until <= serverNow() ? t("tokens.pastDate") : undefined,
    scope: only && clusters.length === 0 ? t("tokens.needCluster") : undefined,
  };
  const errorOf = (field: (typeof FIELDS)[number]) => (tried ? problems[field] : undefined) ?? refused?.fields[field];
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (problems.description || problems.expiration || problems.scope) {
      form.current?.querySelector<HTMLElement>(problems.description ? "[name=description]" : "[name=date], [type=checkbox]")?.focus();
      return;
    }
    if (busy) return;
    const scope = [...(only ? [`clusters:${clusters.join(",")}`] : []), ...(readOnly ? ["verbs:read"] : [])];
    onSubmit({ description: description.trim(), expiration: new Date(until).toISOString(), ...(scope.length > 0 ? { scope } : {}) });
  };
  const toggle = (name: string, on: boolean) => setClusters((old) => (on ? [...old, name] : old.filter((other) => other !== name)));
  const scopeError = errorOf("scope");
  return (
    <Dialog
      title={t("tokens.createTitle")}
      subtitle={t("tokens.createDetail")}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t("action.cancel")}</Button>
          <Button type="submit" form="create-token" look="solid" busy={busy} disabled={busy}>
            {t("tokens.create")}
          </Button>
        </>
      }
    >
      <form id="create-token" ref={form} onSubmit={submit} noValidate className="flex flex-col gap-4">
        <Field label={t("tokens.description")} hint={t("tokens.descriptionHint")} error={errorOf("description")}>
          {(props) => <Input {...props} name="description" autoComplete="off" value={description} onChange={(event) => setDescription(event.target.value)} />}
        </Field>
        <div className="flex flex-col gap-2">
          <p className="font-medium" aria-hidden>
            {t("tokens.life")}
          </p>
          <Segmented
            label={t("tokens.life")}
            value={life}
            onChange={setLife}
            options={LIVES.map((value) => ({ value, label: value === "date" ? t("tokens.byDate") : t("tokens.days", { count: Number(value) }) }))}
          />
          {life === "date" ? (
            <Field label={t("tokens.lastDay")} error={errorOf("expiration")}>
              {(props) => <Input {...props} name="date" type="date" value={date} onChange={(event) => setDate(event.target.value)} />}
            </Field>
          ) : (
            errorOf("expiration") && <p className="text-caption text-bad-text">{errorOf("expiration")}</p>
          )}
        </div>
        <fieldset className="flex flex-col gap-2.5">
          <legend className="mb-1.5 font-medium">{t("tokens.scope")}</legend>
          <Checkbox checked={readOnly} onChange={setReadOnly} label={t("tokens.scopeRead")} hint={t("tokens.scopeReadHint")} />
          <Checkbox checked={only} onChange={setOnly} label={t("tokens.scopeClusters")} hint={t("tokens.scopeClustersHint")} />
          {only && (
            <div role="group" aria-label={t("tokens.clusters")} className="ml-6.5 grid max-h-48 gap-2 overflow-y-auto rounded-md border border-line p-3 sm:grid-cols-2">
              {items?.map(({ metadata: { name } }) => (
                <Checkbox key={name} checked={clusters.includes(name)} onChange={(on) => toggle(name, on)} label={<span className="font-mono text-caption">{name}</span>} />
              ))}
              {(!items || items.length === 0) && <p className="text-caption text-ink-faint">{t("tokens.noClusters")}</p>}
            </div>
          )}
          {scopeError && <p className="text-caption text-bad-text">{scopeError}</p>}
        </fieldset>
        {error && (!refused || refused.rest.length > 0) && <Failure error={error} {...(refused ? { lines: refused.rest } : {})} />}
        {life !== "date" && !readOnly && !only && <Terminal command={createTokenCommand(description.trim(), `${life}d`)} />}
      </form>
    </Dialog>
  );
}
