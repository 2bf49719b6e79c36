// The most that a namespace, or those of a project in one cluster, may be given. What is left empty has no bound; where the
// project has one, its namespaces have one too.
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Amounts } from "../api/tenancy";
import { quantity } from "../lib/quantity";
import { Button } from "../ui/button";
import { Field, Input } from "../ui/field";
import { boundProblem, leftOf, type Bounds } from "./namespaces";

/** What most quotas are about; any other key of a ResourceQuota can be added. */
const COMMON = ["requests.cpu", "limits.cpu", "requests.memory", "limits.memory", "requests.storage", "pods", "persistentvolumeclaims"] as const;
const examples: Record<string, string> = { "requests.cpu": "16", "limits.cpu": "32", "requests.memory": "64Gi", "limits.memory": "128Gi", "requests.storage": "1Ti", pods: "200", persistentvolumeclaims: "50" };
const PLAIN = new Set(["cpu", "memory", "ephemeral-storage", "services", "services.nodeports", "services.loadbalancers", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "requests.ephemeral-storage", "limits.ephemeral-storage", ...COMMON]);

/** What a ResourceQuota can count. */
export const isQuotaKey = (key: string): boolean => key.length <= 317 && (PLAIN.has(key) || /^((requests\.)?hugepages-|count\/)./.test(key) || /^[^/]+\/[^/]+$/.test(key));

/** The keys whose amounts are none. */
export const wrongAmounts = (quota: Amounts): string[] => Object.entries(quota).flatMap(([key, amount]) => (amount.trim() !== "" && quantity(amount.trim()) === undefined ? [key] : []));

/** Whether an amount is none, or does not fit what the project has. */
export const unfitAmounts = (quota: Amounts, bounds: Bounds): boolean => wrongAmounts(quota).length > 0 || Object.entries(bounds).some(([key, bound]) => boundProblem(quota[key] ?? "", bound) !== undefined);

/** Without what was left empty. */
export const filled = (quota: Amounts): Amounts => Object.fromEntries(Object.entries(quota).flatMap(([key, amount]) => (amount.trim() === "" ? [] : [[key, amount.trim()]])));

interface Props {
  quota: Amounts;
  tried: boolean;
  /** What the project itself has, which is to be shared out. */
  bounds?: Bounds;
  onChange: (quota: Amounts) => void;
}

export function QuotaFields({ quota, tried, bounds = {}, onChange }: Props) {
  const { t } = useTranslation();
  const nameOf = useQuotaName();
  const [key, setKey] = useState("");
  const wrong = tried ? wrongAmounts(quota) : [];
  const keys = [...new Set([...COMMON, ...Object.keys(bounds), ...Object.keys(quota)])];
  const other = key.trim();
  const add = () => {
    onChange({ ...quota, [other]: "" });
    setKey("");
  };
  return (
    <div className="flex flex-col gap-3">
      <div className="grid items-start gap-3 sm:grid-cols-2">
        {keys.map((name) => {
          const amount = quota[name] ?? "";
          const bound = bounds[name];
          const problem = tried && bound ? boundProblem(amount, bound) : undefined;
          const rest = bound && leftOf(bound);
          return (
            <Field
              key={name}
              label={nameOf(name)}
              hint={bound && (rest === undefined ? t("quota.leftUnknown", { hard: bound.hard }) : t("quota.left", { left: rest, hard: bound.hard }))}
              error={wrong.includes(name) ? t("quota.wrong") : problem && t(`quotaProblem.${problem}`, { left: rest })}
            >
              {(props) => (
                <Input
                  {...props}
                  name={name}
                  autoComplete="off"
                  autoCapitalize="none"
                  placeholder={bound ? t("quota.some", { example: examples[name] ?? "10" }) : t("quota.unlimited", { example: examples[name] ?? "10" })}
                  className="tabular"
                  value={amount}
                  onChange={(event) => onChange({ ...quota, [name]: event.target.value })}
                />
              )}
            </Field>
          );
        })}
      </div>
      <div className="flex items-start gap-2">
        <div className="min-w-0 flex-1">
          <Field label={t("quota.other")} hint={t("quota.otherHint")} error={other !== "" && !isQuotaKey(other) ? t("quota.badKey") : undefined}>
            {(props) => (
              <Input
                {...props}
                autoComplete="off"
                autoCapitalize="none"
                className="font-mono text-table"
                value={key}
                onChange={(event) => setKey(event.target.value)}
                onKeyDown={(event) => {
                  if (event.key !== "Enter" || !isQuotaKey(other)) return;
                  event.preventDefault();
                  add();
                }}
              />
            )}
          </Field>
        </div>
        <Button className="mt-6 h-9" disabled={!isQuotaKey(other) || keys.includes(other)} onClick={add}>
          {t("quota.add")}
        </Button>
      </div>
    </div>
  );
}

type Common = (typeof COMMON)[number];
type CommonKey = Common extends infer Key ? (Key extends `${infer Head}.${infer Tail}` ? `${Head}_${Tail}` : Key & string) : never;
const key_ = (name: string) => name.replace(".", "_") as CommonKey;

/** What people call an amount. */
export function useQuotaName(): (key: string) => string {
  const { t } = useTranslation();
  return (key) => ((COMMON as readonly string[]).includes(key) ? t(`quota.${key_(key)}`) : key);
}
