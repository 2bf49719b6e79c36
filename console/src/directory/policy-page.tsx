// The rules for passwords, sign-in and sessions: one object, one form.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Lock, ShieldCheck } from "lucide-react";
import { useEffect, useRef, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { createPolicy, patchPolicy, type SecurityPolicy } from "../api/directory";
import { ApiError, fieldErrors } from "../api/status";
import { POLICY_COMMAND } from "../lib/commands";
import { useElapsed } from "../lib/elapsed";
import { ListFailed } from "../shell/list-page";
import { Button } from "../ui/button";
import { Checkbox } from "../ui/checkbox";
import { Failure } from "../ui/failure";
import { Field, Input } from "../ui/field";
import { Notice } from "../ui/message";
import { Panel, Terminal } from "../ui/panel";
import { Segmented } from "../ui/segmented";
import { toast } from "../ui/toast";
import { NUMBERS, POLICY_SECTIONS, policyPatch, policyProblems, readPolicyValues, type FlagField, type NumberField, type PolicyProblem, type PolicyValues } from "./policy";
import { policyQuery } from "./policy-query";

const RIGHT = { verbs: "get, patch", resource: "securitypolicies.auth.alauda.io" };

export function SecurityPolicyPage() {
  const { t } = useTranslation();
  const query = useQuery({ ...policyQuery, refetchInterval: (state) => (state.state.error ? 60_000 : false) });
  useEffect(() => {
    document.title = `${t("policy.title")} · ${t("product.name")}`;
  }, [t]);
  return (
    <div className="mx-auto flex max-w-4xl flex-col gap-4 px-4 pt-5 pb-8 sm:px-6">
      <div>
        <h1 className="text-title">{t("policy.title")}</h1>
        <p className="text-ink-soft">{t("policy.detail")}</p>
      </div>
      {query.data !== undefined ? (
        <Form key={query.data?.metadata.resourceVersion ?? "none"} policy={query.data ?? undefined} />
      ) : query.error ? (
        <ListFailed
          error={query.error instanceof ApiError ? query.error : ApiError.unreachable()}
          words={{ failed: t("policy.failed"), forbidden: t("policy.forbidden") }}
          icon={ShieldCheck}
          right={RIGHT}
          command={POLICY_COMMAND}
          onRetry={() => void query.refetch()}
        />
      ) : (
        <Loading />
      )}
    </div>
  );
}

function Loading() {
  const { t } = useTranslation();
  const shown = useElapsed(200);
  const slow = useElapsed(5_000);
  if (!shown) return null;
  return (
    <div aria-busy className="flex animate-fade-in flex-col gap-4">
      <p className={slow ? "text-table text-ink-soft" : "sr-only"} role="status">
        {slow ? t("list.slow") : t("list.loading")}
      </p>
      {[0, 1, 2].map((at) => (
        <div key={at} className="h-48 rounded-lg border border-line bg-surface p-5" aria-hidden>
          <div className="h-3 w-40 rounded bg-line" />
        </div>
      ))}
    </div>
  );
}

function Form({ policy }: { policy: SecurityPolicy | undefined }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [before] = useState(() => readPolicyValues(policy));
  const [values, setValues] = useState(before);
  const form = useRef<HTMLFormElement>(null);
  const problems = policyProblems(values);
  const patch = policyPatch(before, values);
  const dirty = Object.keys(patch).length > 0;
  const save = useMutation({
    mutationFn: () => (policy ? patchPolicy(patch) : createPolicy(patch)),
    onSuccess: (answer) => {
      toast(t("policy.saved"));
      queries.setQueryData(policyQuery.queryKey, answer);
    },
  });
  const refused = save.error instanceof ApiError ? fieldErrors(save.error, NUMBERS.map(({ path }) => path)) : undefined;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const first = NUMBERS.find(({ path }) => problems[path]);
    if (first) return form.current?.querySelector<HTMLElement>(`[name="${first.path}"]`)?.focus();
    if (dirty && !save.isPending) save.mutate();
  };
  const set = <Path extends keyof PolicyValues>(path: Path, value: PolicyValues[Path]) => {
    if (save.error) save.reset();
    setValues((old) => ({ ...old, [path]: value }));
  };
  return (
    <form ref={form} onSubmit={submit} noValidate className="flex flex-col gap-4">
      {!policy && (
        <Notice tone="info" live={false}>
          {t("policy.none")}
        </Notice>
      )}
      <Panel title={t("policy.secondFactor")} detail={t("policy.secondFactorDetail")}>
        <div className="flex flex-col gap-2 px-4 py-4 sm:px-5">
          <div className="max-w-md">
            <Segmented
              label={t("policy.secondFactor")}
              value={values.secondFactor}
              onChange={(value) => set("secondFactor", value)}
              options={(["Off", "Optional", "Required"] as const).map((value) => ({ value, label: t(`policyFactor.${value}`) }))}
            />
          </div>
          <p className="text-caption text-ink-faint" aria-live="polite">
            {t(`policyFactorDetail.${values.secondFactor}`)}
          </p>
        </div>
      </Panel>
      {POLICY_SECTIONS.map(({ title, numbers, flags }) => (
        <Panel key={title} title={t(`policySection.${title}`)} detail={t(`policySectionDetail.${title}`)}>
          <div className="grid items-start gap-x-6 gap-y-4 px-4 py-4 sm:grid-cols-2 sm:px-5">
            {numbers.map((field) => (
              <NumberInput
                key={field.path}
                field={field}
                value={values[field.path]}
                problem={problems[field.path]}
                refused={refused?.fields[field.path]}
                onChange={(value) => set(field.path, value)}
              />
            ))}
            {flags.map(({ path }: FlagField) => (
              <div key={path} className="sm:col-span-2">
                <Checkbox checked={values[path]} onChange={(on) => set(path, on)} label={t(`policyField.${key(path)}`)} hint={t(`policyHint.${key(path)}`)} />
              </div>
            ))}
          </div>
        </Panel>
      ))}
      {save.error && (!refused || refused.rest.length > 0) && (
        <>
          <Failure error={save.error} {...(refused ? { lines: refused.rest } : {})} />
          {save.error instanceof ApiError && save.error.code === 403 && (
            <p className="flex items-center gap-2 text-caption text-ink-faint">
              <Lock className="size-3.5 shrink-0" aria-hidden />
              {t("policy.cannotChange")}
            </p>
          )}
        </>
      )}
      <Terminal command={POLICY_COMMAND} />
      <div className="sticky bottom-0 -mx-4 flex flex-wrap items-center justify-end gap-2 border-t border-line bg-ground px-4 py-3 sm:-mx-6 sm:px-6">
        <p className="min-w-0 flex-1 text-table text-ink-faint" role="status">
          {dirty ? t("policy.changed") : t("policy.unchanged")}
        </p>
        <Button disabled={!dirty || save.isPending} onClick={() => setValues(before)}>
          {t("policy.discard")}
        </Button>
        <Button type="submit" look="solid" busy={save.isPending} disabled={!dirty || save.isPending}>
          {t("action.save")}
        </Button>
      </div>
    </form>
  );
}

type Key<Path extends string> = Path extends `${infer Head}.${infer Tail}` ? `${Head}_${Tail}` : Path;
const key = <Path extends string>(path: Path): Key<Path> => path.replace(".", "_") as Key<Path>;

interface NumberProps {
  field: NumberField;
  value: string;
  problem: PolicyProblem | undefined;
  refused: string | undefined;
  onChange: (value: string) => void;
}

function NumberInput({ field: { path, unit, zero }, value, problem, refused, onChange }: NumberProps) {
  const { t } = useTranslation();
  const error = problem && (problem.kind === "order" ? t("policy.order") : t(`policyProblem.${problem.kind}`, { least: problem.least, most: problem.most }));
  return (
    <Field label={t(`policyField.${key(path)}`)} hint={zero && t(`policyZero.${zero}`)} error={error ?? refused}>
      {(props) => (
        <div className="flex items-center gap-2.5">
          <Input {...props} name={path} inputMode="numeric" autoComplete="off" className="max-w-28 text-right tabular" value={value} onChange={(event) => onChange(event.target.value)} />
          <span className="text-table text-ink-soft">{t(`policyUnit.${unit}`)}</span>
        </div>
      )}
    </Field>
  );
}
