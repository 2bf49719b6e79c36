// The console's words. One language is loaded at a time; a switch fetches the other first, so nothing shows keys.
//
// They come in parts, so that sign-in does not wait for what it does not say: `entry` is its own, `asks` comes with
// what seldom follows it: another password, a question for somebody else, the last word, `pages` with the shell, `people` with accounts, users and
// what decides about them, `tenancy` with projects, roles and rights.
import { createInstance } from "i18next";
import { initReactI18next } from "react-i18next";
import { currentLanguage, rememberLanguage, type Language } from "../lib/preferences";
import type asks from "./en.asks.json";
import type entry from "./en.json";
import type pages from "./en.pages.json";
import type people from "./en.people.json";
import type tenancy from "./en.tenancy.json";

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof entry & typeof asks & typeof pages & typeof people & typeof tenancy };
  }
}

export const i18n = createInstance();

type Part = "entry" | "asks" | "pages" | "people" | "tenancy";

const words: Record<Part, Record<Language, () => Promise<{ default: object }>>> = {
  entry: { en: () => import("./en.json"), zh: () => import("./zh.json") },
  asks: { en: () => import("./en.asks.json"), zh: () => import("./zh.asks.json") },
  pages: { en: () => import("./en.pages.json"), zh: () => import("./zh.pages.json") },
  people: { en: () => import("./en.people.json"), zh: () => import("./zh.people.json") },
  tenancy: { en: () => import("./en.tenancy.json"), zh: () => import("./zh.tenancy.json") },
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

/** A page together with the words it needs: neither is drawn without the other. */
export async function withWords<Page>(page: Promise<Page>, ...needed: Exclude<Part, "entry">[]): Promise<Page> {
  for (const part of needed) parts.add(part);
  const [found] = await Promise.all([page, ...needed.map((part) => load(part, currentLanguage()))]);
  return found;
}

export async function switchLanguage(language: Language): Promise<void> {
  await Promise.all([...parts].map((part) => load(part, language)));
  await i18n.changeLanguage(language);
  rememberLanguage(language);
}
