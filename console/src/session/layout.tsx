// The page around everything that happens before, beside or after a session.
import { useEffect, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { switchLanguage } from "../i18n/i18n";
import { setTheme, useTheme, type Theme } from "../lib/preferences";
import { Mark } from "../shell/mark";
import { Button } from "../ui/button";
import { FleetDrawing } from "./fleet-drawing";

export function SessionLayout({ children, footer }: { children: ReactNode; footer?: ReactNode }) {
  const { t } = useTranslation();
  return (
    <div className="grid min-h-dvh lg:grid-cols-[minmax(0,11fr)_minmax(0,9fr)]">
      <aside className="relative hidden overflow-hidden border-r border-line bg-well lg:block">
        <FleetDrawing />
        <div className="sticky top-0 flex h-dvh flex-col justify-between p-10">
          <Mark />
          <div className="max-w-md">
            <p className="text-[32px] leading-[1.25] font-semibold tracking-[-0.015em] text-balance zh:tracking-normal">
              {t("product.line")}
            </p>
            <p className="mt-3 text-base text-ink-soft">{t("product.detail")}</p>
          </div>
        </div>
      </aside>
      <div className="flex min-h-dvh min-w-0 flex-col bg-surface px-5 py-5 sm:px-10">
        <header className="flex items-center justify-between">
          <div className="lg:invisible">
            <Mark />
          </div>
          <Choices />
        </header>
        <main className="mx-auto flex w-full max-w-90 flex-1 flex-col justify-center py-10">{children}</main>
        {footer && <footer className="mx-auto w-full max-w-90 text-caption text-ink-faint">{footer}</footer>}
      </div>
    </div>
  );
}

/** The heading of such a page; the window is called the same. */
export function Heading({ title, children }: { title: string; children?: ReactNode }) {
  const { t } = useTranslation();
  useEffect(() => {
    document.title = `${title} · ${t("product.name")}`;
  }, [title, t]);
  return (
    <>
      <h1 className="text-[24px] leading-8 font-semibold break-words">{title}</h1>
      {children && <p className="mt-1 break-words text-pretty text-ink-soft">{children}</p>}
    </>
  );
}

/** Language and theme, before there is a menu to hold them: plain controls that need no popup. */
function Choices() {
  const { t, i18n } = useTranslation();
  const theme = useTheme();
  const themes: Theme[] = ["system", "light", "dark"];
  const select = "h-8 rounded-md border border-line-strong bg-surface px-2 text-table text-ink-soft hover:text-ink";
  return (
    <div className="flex gap-2">
      <select
        className={select}
        aria-label={t("language.label")}
        value={i18n.language}
        onChange={(event) => void switchLanguage(event.target.value === "zh" ? "zh" : "en")}
      >
        <option value="en">{t("language.en")}</option>
        <option value="zh">{t("language.zh")}</option>
      </select>
      <select
        className={select}
        aria-label={t("theme.label")}
        value={theme}
        onChange={(event) => setTheme(themes.find((known) => known === event.target.value) ?? "system")}
      >
        {themes.map((name) => (
          <option key={name} value={name}>
            {t(`theme.${name}`)}
          </option>
        ))}
      </select>
    </div>
  );
}

export function StartOver({ onClick, children }: { onClick: () => void; children?: ReactNode }) {
  const { t } = useTranslation();
  return (
    <p className="mt-5 text-center">
      <Button look="link" size="inline" onClick={onClick}>
        {children ?? t("signIn.startOver")}
      </Button>
    </p>
  );
}
