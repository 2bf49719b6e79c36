import { clsx } from "clsx";
import { CircleCheck, CircleX } from "lucide-react";
import { useTranslation } from "react-i18next";
import type { Validation } from "../api/validation";

const STEPS = ["Configuration", "Connection", "SignIn", "User"] as const;

/** Each step of a trial, and the person it found. */
export function ValidationResult({ result }: { result: Validation }) {
  const { t } = useTranslation();
  const { person } = result;
  const facts = person && ([
    ["login", person.login],
    ["email", person.email],
    ["name", person.name],
    ["groups", person.groups?.join(", ")],
  ] as const);
  return (
    <div className="flex flex-col gap-3" data-validation={result.ok ? "passed" : "failed"}>
      <ol className="overflow-hidden rounded-lg border border-line">
        {result.steps.map((step) => {
          const passed = step.state === "Passed";
          const Icon = passed ? CircleCheck : CircleX;
          const known = STEPS.find((name) => name === step.name);
          return (
            <li key={step.name} className="flex gap-2.5 border-b border-line bg-surface px-3 py-2 text-table last:border-0">
              <Icon className={clsx("mt-0.5 size-4 shrink-0", passed ? "text-good" : "text-bad")} strokeWidth={1.75} aria-hidden />
              <div className="min-w-0 flex-1">
                <p className="flex flex-wrap gap-x-2">
                  <span className="font-medium break-words">{known ? t(`validation.step.${known}`) : step.name}</span>
                  <span className={passed ? "text-ink-soft" : "text-bad-text"}>{passed ? t("validation.passed") : t("validation.failed")}</span>
                </p>
                {step.message && <p className="text-caption break-words whitespace-pre-line text-ink-soft">{step.message}</p>}
              </div>
            </li>
          );
        })}
      </ol>
      {facts && (
        <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1 rounded-lg border border-line bg-surface px-3 py-2.5 text-table">
          {facts.map(([name, value]) => (
            <div key={name} className="contents">
              <dt className="text-ink-faint">{t(`validation.${name}`)}</dt>
              <dd className="min-w-0 break-words">{value || <span className="text-ink-faint">{t("validation.absent")}</span>}</dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}
