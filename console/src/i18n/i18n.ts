// The console's words. One language is loaded at a time; a switch fetches the other first, so nothing shows keys.
//
// They come in two parts: `entry` is what sign-in says, and loads with it; `pages` comes with the pages below a session.
import { createInstance } from "i18next";
import { initReactI18next } from "react-i18next";
import { currentLanguage, rememberLanguage, type Language } from "../lib/preferences";
import type entry from "./en.json";
import type pages from "./en.pages.json";

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof entry & typeof pages };
  }
}

export const i18n = createInstance();

type Part = "entry" | "pages";

const words: Record<Part, Record<Language, () => Promise<{ default: object }>>> = {
  entry: { en: () => import("./en.json"), zh: () => import("./zh.json") },
  pages: { en: () => import("./en.pages.json"), zh: () => import("./zh.pages.json") },
};

/** The parts in use: a switch of language has to bring all of them. */
const parts = new Set<Part>(["entry"]);
const loaded = new Set<string>();

async function load(part: Part, language: Language): Promise<void> {
  const name = `${part}.${language}`;
  if (loaded.has(name)) return;
  const { default: found } = await words[part][language]();
  loaded.add(name);
  i18n.addResourceBundle(language, "translation", found, true);
}

export async function startLanguage(): Promise<void> {
  const language = currentLanguage();
  await i18n.use(initReactI18next).init({
    lng: language,
    fallbackLng: false,
    resources: {},
    // React escapes what it renders.
    interpolation: { escapeValue: false },
  });
  await load("entry", language);
}

/** Brings the words of the pages below a session, before the first of these is drawn. */
export async function loadPageWords(): Promise<void> {
  parts.add("pages");
  await load("pages", currentLanguage());
}

export async function switchLanguage(language: Language): Promise<void> {
  await Promise.all([...parts].map((part) => load(part, language)));
  await i18n.changeLanguage(language);
  rememberLanguage(language);
}
