// Ages and times of day, as people read them.
import { useTranslation } from "react-i18next";
import { useNow } from "./clock";

export type Age = { unit: "never" | "now" } | { unit: "seconds" | "minutes" | "hours" | "days"; count: number };

/** The age in its largest whole unit. Seconds step by five: a number that ticks every second draws the eye for nothing. */
export function age(from: number | undefined, now: number): Age {
  if (from === undefined || Number.isNaN(from)) return { unit: "never" };
  const seconds = Math.max(0, Math.floor((now - from) / 1000));
  if (seconds < 5) return { unit: "now" };
  if (seconds < 60) return { unit: "seconds", count: seconds - (seconds % 5) };
  if (seconds < 3600) return { unit: "minutes", count: Math.floor(seconds / 60) };
  if (seconds < 86_400) return { unit: "hours", count: Math.floor(seconds / 3600) };
  return { unit: "days", count: Math.floor(seconds / 86_400) };
}

export function useAge(from: number | undefined): string {
  const { t } = useTranslation();
  return useNow((now) => {
    const value = age(from, now);
    return "count" in value ? t(`age.${value.unit}`, { count: value.count }) : t(`age.${value.unit}`);
  });
}

/** A recent moment: the time on a 24-hour clock, with the date when that was not today. */
export function moment(time: number, now: number, language: string): string {
  const today = new Date(time).toDateString() === new Date(now).toDateString();
  const date = today ? {} : ({ month: "short", day: "numeric" } as const);
  return new Intl.DateTimeFormat(language, { ...date, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(time);
}

export function useMoment(time: number | undefined): string {
  const { i18n } = useTranslation();
  return useNow(() => (time === undefined ? "" : moment(time, Date.now(), i18n.language)));
}

export function dateAndTime(time: number | undefined, language: string): string {
  if (time === undefined || Number.isNaN(time)) return "";
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" }).format(time);
}
