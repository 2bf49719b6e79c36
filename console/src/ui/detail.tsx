// The parts of a drawer.
import { clsx } from "clsx";
import { CircleCheck, CircleHelp, CircleX } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Since } from "./values";

export function Fact({ name, wide, children }: { name: string; wide?: boolean; children: ReactNode }) {
  return (
    <div className={clsx("min-w-0", wide && "col-span-full")}>
      <dt className="mb-0.5 text-caption text-ink-faint">{name}</dt>
      <dd className="break-words">{children}</dd>
    </div>
  );
}

export function Section({ title, action, children }: { title: string; action?: ReactNode; children: ReactNode }) {
  return (
    <section>
      <div className="mb-2 flex min-h-5 items-baseline justify-between gap-3">
        <h3 className="text-table">{title}</h3>
        {action}
      </div>
      {children}
    </section>
  );
}

/** As objects report it; a name and a state are relied on, no more. */
export interface ConditionLike {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

const CONDITION_STATUSES = ["True", "False", "Unknown"] as const;

const looks = {
  True: { icon: CircleCheck, mark: "text-good" },
  False: { icon: CircleX, mark: "text-bad" },
  Unknown: { icon: CircleHelp, mark: "text-mute" },
};

export function Conditions({ conditions }: { conditions: readonly ConditionLike[] }) {
  const { t } = useTranslation();
  if (conditions.length === 0) return <p className="text-table text-ink-faint">{t("detail.noConditions")}</p>;
  return (
    <ul className="overflow-hidden rounded-lg border border-line">
      {conditions.map((condition) => (
        <Condition key={condition.type} condition={condition} />
      ))}
    </ul>
  );
}

function Condition({ condition }: { condition: ConditionLike }) {
  const { t } = useTranslation();
  const status = CONDITION_STATUSES.find((known) => known === condition.status) ?? "Unknown";
  const { icon: Icon, mark } = looks[status];
  const since = Date.parse(condition.lastTransitionTime ?? "");
  return (
    <li className="flex gap-2.5 border-b border-line bg-surface px-3 py-2.5 last:border-0">
      <Icon className={clsx("mt-0.5 size-4 shrink-0", mark)} strokeWidth={1.75} aria-hidden />
      <div className="min-w-0 flex-1 text-table">
        <div className="flex flex-wrap items-baseline gap-x-2">
          <span className="min-w-0 font-medium break-words">{condition.type}</span>
          <span className="text-ink-soft">{t(`conditionStatus.${status}`)}</span>
          <span className="flex-1" />
          {!Number.isNaN(since) && (
            <span className="text-caption text-ink-faint">
              <Since time={since} />
            </span>
          )}
        </div>
        {condition.reason && <p className="font-mono text-caption break-words text-ink-soft">{condition.reason}</p>}
        {condition.message && <LongText text={condition.message} label={condition.type} />}
      </div>
    </li>
  );
}

/** Messages can be pages long: such a one scrolls in its own place, also by keyboard. */
function LongText({ text, label }: { text: string; label: string }) {
  const long = text.length > 600 || text.split("\n").length > 8;
  return (
    <p
      className="max-h-40 overflow-y-auto text-caption break-words whitespace-pre-wrap text-ink-soft"
      {...(long ? { tabIndex: 0, role: "region", "aria-label": label } : {})}
    >
      {text}
    </p>
  );
}
