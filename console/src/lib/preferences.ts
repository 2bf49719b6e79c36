// Theme and language: what the user chose, kept in the browser. See also preferences.js, which applies them first.
import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";
export type Language = "en" | "zh";

const THEME_KEY = "acp.theme";
const LANGUAGE_KEY = "acp.language";

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // Storage may be denied; the choice then lasts as long as the page.
  }
}

const subscribers = new Set<() => void>();
const systemDark = matchMedia("(prefers-color-scheme: dark)");
let theme: Theme = ((saved) => (saved === "light" || saved === "dark" ? saved : "system"))(read(THEME_KEY));

function applyTheme(): void {
  const dark = theme === "system" ? systemDark.matches : theme === "dark";
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}
systemDark.addEventListener("change", applyTheme);

export function setTheme(next: Theme): void {
  theme = next;
  write(THEME_KEY, next === "system" ? null : next);
  applyTheme();
  for (const notify of subscribers) notify();
}

export function useTheme(): Theme {
  return useSyncExternalStore(
    (callback) => {
      subscribers.add(callback);
      return () => subscribers.delete(callback);
    },
    () => theme,
  );
}

export function currentLanguage(): Language {
  return document.documentElement.lang.startsWith("zh") ? "zh" : "en";
}

export function rememberLanguage(language: Language): void {
  write(LANGUAGE_KEY, language);
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
}
