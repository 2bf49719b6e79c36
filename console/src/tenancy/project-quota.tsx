// What a project has in a cluster, and how amounts are shown against their bounds.
import { useQuery } from "@tanstack/react-query";
import { clsx } from "clsx";
import { useTranslation } from "react-i18next";
import { readProjectQuota, type Amounts } from "../api/tenancy";
import { inUnitOf, share } from "../lib/quantity";
import { useQuotaName } from "./quota-fields";

const EVERY_MS = 15_000;

// What the project asks for is part of the question: a new bound is looked for at once.
export const useProjectQuota = (project: string, cluster: string, wanted: Amounts) =>
  useQuery({ queryKey: ["projectquota", cluster, project, wanted], queryFn: () => readProjectQuota(cluster, project), refetchInterval: EVERY_MS, retry: false, placeholderData: (old, before) => (before?.queryKey[1] === cluster ? old : undefined) });

interface AmountsProps {
  hard: Amounts;
  used: Amounts;
  words: "quota.usedOf" | "quota.spentOf";
}

export function AmountsOf({ hard, used, words }: AmountsProps) {
  const { t } = useTranslation();
  const quotaName = useQuotaName();
  const keys = [...new Set([...Object.keys(hard), ...Object.keys(used)])];
  return (
    <dl className="grid gap-x-4 gap-y-2 sm:grid-cols-2">
      {keys.map((key) => {
        const most = hard[key];
        const amount = used[key];
        const part = most === undefined ? undefined : share(amount ?? "0", most);
        return (
          <div key={key} className="min-w-0 text-table">
            <dt className="text-caption break-words text-ink-faint">{quotaName(key)}</dt>
            <dd className="tabular">
              {t(words, { used: amount === undefined ? "–" : inUnitOf(most, amount), hard: most ?? t("quota.noBound") })}
              {part !== undefined && (
                <span className="mt-1 block h-1 overflow-hidden rounded bg-well" aria-hidden>
                  <span className={clsx("block h-full rounded", part > 1 ? "bg-bad" : part >= 0.9 ? "bg-warn" : "bg-accent")} style={{ width: `${Math.min(100, Math.round(part * 100))}%` }} />
                </span>
              )}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}
