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

/** `hh:mm` on a 24-hour clock. */
export function timeOfDay(time: number, language: string): string {
  return new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(time);
}

export function dateAndTime(time: number | undefined, language: string): string {
  if (time === undefined || Number.isNaN(time)) return "";
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" }).format(time);
}
