// Values as tables, cards and drawers show them.
import { clsx } from "clsx";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { serverNow } from "../lib/clock";
import { dateAndTime, useAge } from "../lib/time";

/** Lights up for a moment when its value changes. */
export function Changing({ value, children }: { value: string; children: ReactNode }) {
  const [seen, setSeen] = useState({ value, changes: 0 });
  if (seen.value !== value) setSeen({ value, changes: seen.changes + 1 });
  return (
    <span key={seen.changes} className={clsx("-mx-1 inline-flex max-w-full items-center rounded px-1 align-middle whitespace-nowrap", seen.changes > 0 && "animate-changed")}>
      {children}
    </span>
  );
}

export function Absent() {
  const { t } = useTranslation();
  return (
    <span className="text-ink-faint">
      <span aria-hidden>–</span>
      <span className="sr-only">{t("list.notReported")}</span>
    </span>
  );
}

/** How long ago. */
export function Since({ time }: { time: number }) {
  const { i18n } = useTranslation();
  const words = useAge(Math.min(time, serverNow()));
  return (
    <time dateTime={new Date(time).toISOString()} title={dateAndTime(time, i18n.language)}>
      {words}
    </time>
  );
}

export function Chip({ children, title }: { children: ReactNode; title?: string }) {
  return (
    <span className="shrink-0 rounded border border-line-strong px-1 text-[11px] leading-4 font-medium whitespace-nowrap text-ink-soft" title={title}>
      {children}
    </span>
  );
}
