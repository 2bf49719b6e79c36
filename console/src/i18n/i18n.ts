// The console's words. One language is loaded at a time; a switch fetches the other first, so nothing shows keys.
import { createInstance } from "i18next";
import { initReactI18next } from "react-i18next";
import { currentLanguage, rememberLanguage, type Language } from "../lib/preferences";
import type english from "./en.json";

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof english };
  }
}

export const i18n = createInstance();

const words: Record<Language, () => Promise<{ default: object }>> = {
  en: () => import("./en.json"),
  zh: () => import("./zh.json"),
};

export async function startLanguage(): Promise<void> {
  const language = currentLanguage();
  await i18n.use(initReactI18next).init({
    lng: language,
    fallbackLng: false,
    resources: { [language]: { translation: (await words[language]()).default } },
    // React escapes what it renders.
    interpolation: { escapeValue: false },
  });
}

export async function switchLanguage(language: Language): Promise<void> {
  if (!i18n.hasResourceBundle(language, "translation")) {
    i18n.addResourceBundle(language, "translation", (await words[language]()).default);
  }
  await i18n.changeLanguage(language);
  rememberLanguage(language);
}
