import { Eye, EyeOff } from "lucide-react";
import { useEffect, useRef, useState, type FormEvent, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";
import { signIn, type Session } from "../api/gateway";
import { ApiError } from "../api/status";
import { switchLanguage } from "../i18n/i18n";
import { useNow } from "../lib/clock";
import { setTheme, useTheme, type Theme } from "../lib/preferences";
import { Mark } from "../shell/mark";
import { Button } from "../ui/button";
import { Field, Input } from "../ui/field";
import { Notice } from "../ui/message";
import { FleetDrawing } from "./fleet-drawing";

interface Props {
  /** A session was here and is over. */
  ended: boolean;
  onSignedIn: (session: Session) => void;
}

export function SignIn({ ended, onSignedIn }: Props) {
  const { t } = useTranslation();
  useEffect(() => {
    document.title = `${t("signIn.title")} · ${t("product.name")}`;
  }, [t]);
  return (
    <div className="grid min-h-dvh lg:grid-cols-[minmax(0,11fr)_minmax(0,9fr)]">
      <aside className="relative hidden overflow-hidden border-r border-line bg-well lg:block">
        <FleetDrawing />
        <div className="relative flex h-full flex-col justify-between p-10">
          <Mark />
          <div className="max-w-md">
            <p className="text-[32px] leading-[1.25] font-semibold tracking-[-0.015em] text-balance zh:tracking-normal">
              {t("product.line")}
            </p>
            <p className="mt-3 text-base text-ink-soft">{t("product.detail")}</p>
          </div>
        </div>
      </aside>
      <div className="flex min-h-dvh flex-col bg-surface px-5 py-5 sm:px-10">
        <header className="flex items-center justify-between">
          <div className="lg:invisible">
            <Mark />
          </div>
          <Choices />
        </header>
        <main className="mx-auto flex w-full max-w-90 flex-1 flex-col justify-center py-10">
          <h1 className="text-[24px] leading-8 font-semibold">{t("signIn.title")}</h1>
          <p className="mt-1 text-ink-soft">{t("signIn.subtitle")}</p>
          <Form ended={ended} onSignedIn={onSignedIn} />
        </main>
        <footer className="mx-auto w-full max-w-90 text-caption text-ink-faint">
          <p>{t("signIn.firstTime")}</p>
          <p className="mt-2">
            {t("signIn.terminal")} <code className="font-mono text-ink-soft">{`ac login ${location.origin}`}</code>
          </p>
        </footer>
      </div>
    </div>
  );
}

type Problem = { kind: "wrong" } | { kind: "throttled"; until: number } | { kind: "other"; error: ApiError };

function Form({ ended, onSignedIn }: Props) {
  const { t } = useTranslation();
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [shown, setShown] = useState(false);
  const [capsLock, setCapsLock] = useState(false);
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const usernameInput = useRef<HTMLInputElement>(null);
  const passwordInput = useRef<HTMLInputElement>(null);
  const wait = useSecondsUntil(problem?.kind === "throttled" ? problem.until : undefined);

  useEffect(() => usernameInput.current?.focus(), []);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (busy || wait > 0) return;
    setTried(true);
    if (!username.trim()) return usernameInput.current?.focus();
    if (!password) return passwordInput.current?.focus();
    setBusy(true);
    setProblem(undefined);
    try {
      onSignedIn(await signIn(username.trim(), password));
    } catch (caught) {
      const error = caught instanceof ApiError ? caught : ApiError.unreachable();
      setBusy(false);
      setPassword("");
      passwordInput.current?.focus();
      if (error.code === 401) setProblem({ kind: "wrong" });
      else if (error.code === 429) setProblem({ kind: "throttled", until: Date.now() + (error.retryAfterSeconds ?? 5) * 1000 });
      else setProblem({ kind: "other", error });
    }
  };

  const watchCapsLock = (event: KeyboardEvent) => setCapsLock(event.getModifierState("CapsLock"));
  // A new try has begun: what was wrong with the last one no longer matters.
  const edited = () => problem?.kind === "wrong" && setProblem(undefined);

  return (
    <form className="mt-6 flex flex-col gap-4" onSubmit={(event) => void submit(event)} noValidate>
      {ended && !problem && <Notice tone="info">{t("signIn.ended")}</Notice>}
      {problem?.kind === "wrong" && <Notice tone="bad">{t("signIn.wrong")}</Notice>}
      {problem?.kind === "throttled" && wait > 0 && <Throttled seconds={wait} />}
      {problem?.kind === "other" && (
        <Notice tone="bad">
          {problem.error.code === 0 ? t("error.unreachable") : t("error.server")}
          {problem.error.message && <span className="block text-caption">{problem.error.message}</span>}
        </Notice>
      )}
      <Field label={t("signIn.username")} error={tried && !username.trim() ? t("signIn.needUsername") : undefined}>
        {(props) => (
          <Input
            {...props}
            ref={usernameInput}
            name="username"
            autoComplete="username"
            autoCapitalize="none"
            className="h-10"
            value={username}
            onChange={(event) => {
              setUsername(event.target.value);
              edited();
            }}
          />
        )}
      </Field>
      <Field
        label={t("signIn.password")}
        error={tried && !password && !problem ? t("signIn.needPassword") : undefined}
        hint={capsLock ? t("signIn.capsLock") : undefined}
      >
        {(props) => (
          <div className="relative">
            <Input
              {...props}
              ref={passwordInput}
              name="password"
              type={shown ? "text" : "password"}
              autoComplete="current-password"
              className="h-10 pr-11"
              value={password}
              onKeyDown={watchCapsLock}
              onKeyUp={watchCapsLock}
              onChange={(event) => {
                setPassword(event.target.value);
                edited();
              }}
            />
            <Button
              look="ghost"
              size="icon"
              className="absolute top-1 right-1"
              aria-label={shown ? t("signIn.hide") : t("signIn.show")}
              aria-pressed={shown}
              onClick={() => setShown(!shown)}
            >
              {shown ? <EyeOff className="size-4" aria-hidden /> : <Eye className="size-4" aria-hidden />}
            </Button>
          </div>
        )}
      </Field>
      <Button type="submit" look="solid" size="large" className="mt-1" busy={busy} disabled={busy || wait > 0}>
        {busy ? t("signIn.submitting") : t("signIn.submit")}
      </Button>
    </form>
  );
}

/** Counts down for the eye; read out once, not every second. */
function Throttled({ seconds }: { seconds: number }) {
  const { t } = useTranslation();
  const [first] = useState(seconds);
  return (
    <Notice tone="bad">
      <span className="sr-only">{t("signIn.throttled", { seconds: first })}</span>
      <span aria-hidden className="tabular">
        {t("signIn.throttled", { seconds })}
      </span>
    </Notice>
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

function useSecondsUntil(until: number | undefined): number {
  return useNow(() => (until === undefined ? 0 : Math.max(0, Math.ceil((until - Date.now()) / 1000))));
}
