// The frame of every page: top bar, navigation, content.
import { Link, Outlet } from "@tanstack/react-router";
import { clsx } from "clsx";
import {
  BadgeCheck,
  Boxes,
  CircleUser,
  FolderKanban,
  IdCard,
  Keyboard,
  Languages,
  LogOut,
  Menu as MenuIcon,
  Monitor,
  Moon,
  PanelLeft,
  Scale,
  Search,
  ShieldCheck,
  Sun,
  UserCheck,
  UserCog,
  UserRound,
  UsersRound,
  type LucideIcon,
} from "lucide-react";
import { Fragment, lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { switchLanguage } from "../i18n/i18n";
import { setTheme, useTheme, type Theme } from "../lib/preferences";
import { useCompact } from "../lib/compact";
import { useHotkeys } from "../lib/hotkeys";
import { Button } from "../ui/button";
import { Menu, MenuContent, MenuItem, MenuLabel, MenuRadioGroup, MenuRadioItem, MenuSeparator, MenuTrigger } from "../ui/menu";
import { ConnectionState } from "./connection-state";
import { useShell } from "./context";
import { Mark } from "./mark";

const Shortcuts = lazy(() => import("./shortcuts"));

export function Frame() {
  const { t } = useTranslation();
  const [narrow, setNarrow] = useState(false);
  const [helping, setHelping] = useState(false);
  useHotkeys({ "?": () => setHelping(true) });
  return (
    <div className="flex h-dvh flex-col">
      <a
        href="#content"
        className="sr-only z-50 rounded-md bg-raised px-3 py-2 focus:not-sr-only focus:absolute focus:top-2 focus:left-2"
      >
        {t("nav.skip")}
      </a>
      <header className="flex h-12 shrink-0 items-center gap-2 border-b border-line bg-surface px-3 sm:px-4">
        <CompactNavigation />
        <Link to="/clusters" className="rounded-md" aria-label={t("product.name")}>
          <Mark />
        </Link>
        <span className="hidden h-4 w-px bg-line-strong sm:mx-2 sm:block" aria-hidden />
        <span className="hidden text-table text-ink-soft sm:block">{t("view.administrator")}</span>
        <div className="flex-1" />
        <ConnectionState />
        <div className="hidden items-center gap-1 sm:flex">
          <LanguageMenu />
          <ThemeMenu />
        </div>
        <UserMenu onShortcuts={() => setHelping(true)} />
      </header>
      <div className="flex min-h-0 flex-1">
        <nav
          aria-label={t("nav.label")}
          className={clsx(
            "hidden shrink-0 flex-col justify-between border-r border-line bg-surface p-2 sm:flex",
            narrow ? "w-14" : "w-14 lg:w-56",
          )}
        >
          <Navigation narrow={narrow} />
          <Button
            look="ghost"
            size="icon"
            className="hidden lg:inline-flex"
            aria-label={narrow ? t("nav.expand") : t("nav.collapse")}
            onClick={() => setNarrow(!narrow)}
          >
            <PanelLeft className="size-4" aria-hidden />
          </Button>
        </nav>
        <main id="content" tabIndex={-1} className="min-w-0 flex-1 overflow-y-auto outline-none">
          <Outlet />
        </main>
      </div>
      <Suspense fallback={null}>{helping && <Shortcuts onClose={() => setHelping(false)} />}</Suspense>
    </div>
  );
}

interface Entry {
  to: "/clusters" | "/search" | "/projects" | "/roles" | "/bindings" | "/explain" | "/users" | "/groups" | "/providers" | "/security-policy";
  words: "nav.clusters" | "nav.search" | "nav.projects" | "nav.roles" | "nav.bindings" | "nav.explain" | "nav.users" | "nav.groups" | "nav.providers" | "nav.policy";
  icon: LucideIcon;
}

/** Everybody sees all of them: a page that may not be seen says which right is missing. */
const sections: readonly { words: "nav.fleet" | "nav.tenancy" | "nav.administration"; entries: readonly Entry[] }[] = [
  { words: "nav.fleet", entries: [{ to: "/clusters", words: "nav.clusters", icon: Boxes }, { to: "/search", words: "nav.search", icon: Search }] },
  {
    words: "nav.tenancy",
    entries: [
      { to: "/projects", words: "nav.projects", icon: FolderKanban },
      { to: "/bindings", words: "nav.bindings", icon: UserCheck },
      { to: "/roles", words: "nav.roles", icon: BadgeCheck },
      { to: "/explain", words: "nav.explain", icon: Scale },
    ],
  },
  {
    words: "nav.administration",
    entries: [
      { to: "/users", words: "nav.users", icon: UserRound },
      { to: "/groups", words: "nav.groups", icon: UsersRound },
      { to: "/providers", words: "nav.providers", icon: IdCard },
      { to: "/security-policy", words: "nav.policy", icon: ShieldCheck },
    ],
  },
];

function Navigation({ narrow }: { narrow: boolean }) {
  const { t } = useTranslation();
  return (
    <div className="flex flex-col gap-3 overflow-y-auto">
      {sections.map(({ words, entries }) => (
        <div key={words}>
          <p className={clsx("px-2.5 text-caption text-ink-faint", narrow || "lg:pt-1 lg:pb-1.5")}>
            <span className={narrow ? "sr-only" : "sr-only lg:not-sr-only"}>{t(words)}</span>
          </p>
          <ul className="flex flex-col gap-0.5">
            {entries.map((entry) => (
              <NavigationItem key={entry.to} entry={entry} narrow={narrow} />
            ))}
          </ul>
        </div>
      ))}
    </div>
  );
}

function NavigationItem({ entry: { to, words, icon: Icon }, narrow }: { entry: Entry; narrow: boolean }) {
  const { t } = useTranslation();
  return (
    <li>
      <Link
        to={to}
        title={t(words)}
        className="relative flex h-9 items-center gap-2.5 rounded-md px-2.5 text-ink-soft transition-colors duration-150 hover:bg-hover hover:text-ink"
        activeProps={{
          className:
            "bg-selected font-medium text-ink! before:absolute before:inset-y-2 before:-left-2 before:w-0.75 before:rounded-r before:bg-accent",
        }}
      >
        <Icon className="size-5 shrink-0" strokeWidth={1.5} aria-hidden />
        <span className={narrow ? "sr-only" : "sr-only lg:not-sr-only"}>{t(words)}</span>
      </Link>
    </li>
  );
}

function CompactNavigation() {
  const { t } = useTranslation();
  return (
    <Menu>
      <MenuTrigger asChild>
        <Button look="ghost" size="icon" className="-ml-1 sm:hidden" aria-label={t("nav.open")}>
          <MenuIcon className="size-5" aria-hidden />
        </Button>
      </MenuTrigger>
      <MenuContent align="start">
        {sections.map(({ words, entries }) => (
          <Fragment key={words}>
            <MenuLabel>{t(words)}</MenuLabel>
            {entries.map(({ to, words: name, icon: Icon }) => (
              <MenuItem asChild key={to}>
                <Link to={to}>
                  <Icon className="size-4" aria-hidden />
                  {t(name)}
                </Link>
              </MenuItem>
            ))}
          </Fragment>
        ))}
      </MenuContent>
    </Menu>
  );
}

function LanguageMenu() {
  const { t } = useTranslation();
  return (
    <Menu>
      <MenuTrigger asChild>
        <Button look="ghost" size="icon" aria-label={t("language.label")} title={t("language.label")}>
          <Languages className="size-4" aria-hidden />
        </Button>
      </MenuTrigger>
      <MenuContent align="end">
        <LanguageChoice />
      </MenuContent>
    </Menu>
  );
}

function LanguageChoice() {
  const { t, i18n } = useTranslation();
  return (
    <MenuRadioGroup value={i18n.language} onValueChange={(value) => void switchLanguage(value === "zh" ? "zh" : "en")}>
      <MenuRadioItem value="en">
        <span lang="en">{t("language.en")}</span>
      </MenuRadioItem>
      <MenuRadioItem value="zh">
        <span lang="zh-CN">{t("language.zh")}</span>
      </MenuRadioItem>
    </MenuRadioGroup>
  );
}

const themes = { system: Monitor, light: Sun, dark: Moon };

function ThemeMenu() {
  const { t } = useTranslation();
  const Icon = themes[useTheme()];
  return (
    <Menu>
      <MenuTrigger asChild>
        <Button look="ghost" size="icon" aria-label={t("theme.label")} title={t("theme.label")}>
          <Icon className="size-4" aria-hidden />
        </Button>
      </MenuTrigger>
      <MenuContent align="end">
        <ThemeChoice />
      </MenuContent>
    </Menu>
  );
}

function ThemeChoice() {
  const { t } = useTranslation();
  const theme = useTheme();
  return (
    <MenuRadioGroup value={theme} onValueChange={(value) => setTheme(value as Theme)}>
      {Object.entries(themes).map(([name, Icon]) => (
        <MenuRadioItem key={name} value={name} icon={<Icon className="size-4 text-ink-faint" aria-hidden />}>
          {t(`theme.${name as Theme}`)}
        </MenuRadioItem>
      ))}
    </MenuRadioGroup>
  );
}

function UserMenu({ onShortcuts }: { onShortcuts: () => void }) {
  const { t } = useTranslation();
  const { session, onSignOut } = useShell();
  const compact = useCompact();
  return (
    <Menu>
      <MenuTrigger asChild>
        <Button look="ghost" size="icon" aria-label={t("user.label")} title={session.username}>
          <CircleUser className="size-5" strokeWidth={1.5} aria-hidden />
        </Button>
      </MenuTrigger>
      <MenuContent align="end" className="max-w-72">
        <div className="px-2 pt-1.5 pb-2">
          <p className="text-caption text-ink-faint">{t("user.signedInAs")}</p>
          <p className="truncate font-medium" data-testid="username">
            {session.username}
          </p>
          <p className="truncate text-caption text-ink-faint">{session.groups.join(", ")}</p>
        </div>
        <MenuSeparator />
        {compact && (
          <>
            <MenuLabel>{t("language.label")}</MenuLabel>
            <LanguageChoice />
            <MenuLabel>{t("theme.label")}</MenuLabel>
            <ThemeChoice />
            <MenuSeparator />
          </>
        )}
        <MenuItem asChild>
          <Link to="/account">
            <UserCog className="size-4" aria-hidden />
            {t("user.account")}
          </Link>
        </MenuItem>
        <MenuItem icon={<Keyboard className="size-4" aria-hidden />} onSelect={onShortcuts}>
          <span className="flex-1">{t("user.shortcuts")}</span>
          <kbd className="font-mono text-caption text-ink-faint">?</kbd>
        </MenuItem>
        <MenuItem icon={<LogOut className="size-4" aria-hidden />} onSelect={() => onSignOut()}>
          {t("user.signOut")}
        </MenuItem>
      </MenuContent>
    </Menu>
  );
}
