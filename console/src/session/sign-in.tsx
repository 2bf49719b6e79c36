// Signing in, step by step: the password, and what the platform then still asks for.
//
// The password stays in this component for as long as a further step needs it, and goes with it.
import { lazy, Suspense, useEffect, useRef, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { providers as askProviders, signIn, type Provider, type Session } from "../api/identity";
import { withWords } from "../i18n/i18n";
import { useElapsed } from "../lib/elapsed";
import { Button } from "../ui/button";
import { Field, Input } from "../ui/field";
import { Notice } from "../ui/message";
import { PasswordField } from "../ui/password-input";
import { readAddress, type SignInAddress } from "./address";
import { outcomeOf, type Problem } from "./attempt";
import { useSecondsUntil } from "./countdown";
import { Heading, SessionLayout } from "./layout";
import { ProblemNotice } from "./problem";
import { ProviderChoice, ProviderLinks } from "./provider-choice";

const CodeStep = lazy(() => withWords(import("./code-step"), "asks"));
const ChangeStep = lazy(() => withWords(import("./change-step"), "asks"));
const EnrolStep = lazy(() => withWords(import("./enrol-step"), "asks"));

interface Props {
  /** A session was here and is over. */
  ended: boolean;
  onSignedIn: (session: Session) => void;
}

type Step = "password" | "code" | "change" | "enrol";

const LOCAL: Provider = { id: "local", name: "", type: "local" };

export function SignIn({ ended, onSignedIn }: Props) {
  const { t } = useTranslation();
  const [address] = useState(() => readAddress(location.search));
  const [step, setStep] = useState<Step>("password");
  return (
    <SessionLayout
      footer={
        step === "password" && (
          <>
            <p>{t("signIn.firstTime")}</p>
            <p className="mt-2">
              {t("signIn.terminal")} <code className="font-mono break-all text-ink-soft">{`ac login ${location.origin}`}</code>
            </p>
          </>
        )
      }
    >
      <Steps step={step} setStep={setStep} address={address} ended={ended} onSignedIn={onSignedIn} />
    </SessionLayout>
  );
}

interface StepsProps extends Props {
  step: Step;
  setStep: (step: Step) => void;
  address: SignInAddress;
}

function Steps({ step, setStep, address, ended, onSignedIn }: StepsProps) {
  const { t } = useTranslation();
  const providers = useProviders();
  const [chosen, setChosen] = useState(address.provider);
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [justEnrolled, setJustEnrolled] = useState(false);

  const typed = (providers ?? [LOCAL]).filter(({ type }) => type === "local" || type === "ldap");
  const linked = (providers ?? []).filter(({ type }) => type === "oidc" || type === "saml");
  const provider = typed.find(({ id }) => id === chosen) ?? typed[0] ?? LOCAL;
  const late = useElapsed(300);

  /** Sends what is known so far; the answer decides the next step. */
  const attempt = async (secret: string, code?: string): Promise<void> => {
    setBusy(true);
    setProblem(undefined);
    try {
      const idp = providers && providers.length > 1 ? { idp: provider.id } : {};
      onSignedIn(await signIn({ username: username.trim(), password: secret, ...idp, ...(code ? { code } : {}) }));
    } catch (caught) {
      setBusy(false);
      const outcome = outcomeOf(caught, Date.now());
      if ("next" in outcome) return setStep(outcome.next);
      setProblem(outcome.problem);
      const { kind } = outcome.problem;
      if (step === "code" && (kind === "wrong-code" || kind === "wait" || kind === "other")) return;
      setPassword("");
      setStep("password");
    }
  };
  const startOver = () => {
    setPassword("");
    setProblem(undefined);
    setJustEnrolled(false);
    setStep("password");
  };

  switch (step) {
    case "password":
      return (
        <div className={providers || late ? "transition-opacity duration-150" : "opacity-0"}>
          <Heading title={t("signIn.title")}>{address.flow ? t("signIn.subtitleFlow") : t("signIn.subtitle")}</Heading>
          <Notices address={address} providers={providers} ended={ended} problem={problem} />
          {typed.length > 1 && (
            <div className="mt-6">
              <ProviderChoice
                providers={typed}
                value={provider.id}
                onChange={(id) => {
                  setChosen(id);
                  setProblem(undefined);
                }}
              />
            </div>
          )}
          {typed.length > 0 && (
            <PasswordStep
              prompt={provider.usernamePrompt}
              username={username}
              password={password}
              busy={busy}
              problem={problem}
              onUsername={setUsername}
              onPassword={setPassword}
              onEdited={() => problem?.kind === "wrong" && setProblem(undefined)}
              onSubmit={() => void attempt(password)}
            />
          )}
          {linked.length > 0 && <ProviderLinks providers={linked} address={address} alone={typed.length === 0} />}
        </div>
      );
    case "code":
      return (
        <Suspense fallback={null}>
          <CodeStep busy={busy} problem={problem} justEnrolled={justEnrolled} onStartOver={startOver} onSubmit={(code) => void attempt(password, code)} />
        </Suspense>
      );
    case "change":
      return (
        <Suspense fallback={null}>
          <ChangeStep
            username={username.trim()}
            password={password}
            onStartOver={startOver}
            onChanged={(secret) => {
              setPassword(secret);
              void attempt(secret);
            }}
          />
        </Suspense>
      );
    case "enrol":
      return (
        <Suspense fallback={null}>
          <EnrolStep
            username={username.trim()}
            password={password}
            onStartOver={startOver}
            onEnrolled={() => {
              setJustEnrolled(true);
              setStep("code");
            }}
          />
        </Suspense>
      );
  }
}

/** Unless told otherwise there are local accounts only; that is also what shows when the question is not answered. */
function useProviders(): readonly Provider[] | undefined {
  const [found, setFound] = useState<readonly Provider[]>();
  useEffect(() => {
    let gone = false;
    const known = (items: readonly Provider[]) => {
      if (!gone) setFound(items.length > 0 ? items : [LOCAL]);
    };
    askProviders().then(known, () => known([LOCAL]));
    return () => {
      gone = true;
    };
  }, []);
  return found;
}

function Notices({ address, providers, ended, problem }: { address: SignInAddress; providers: readonly Provider[] | undefined; ended: boolean; problem: Problem | undefined }) {
  const { t } = useTranslation();
  // Only a name that the hub itself has given is shown: the address is anybody's.
  const provider = providers?.find(({ id }) => id === address.provider)?.name;
  const shown = problem ? (
    <ProblemNotice problem={problem} />
  ) : address.error ? (
    <Notice tone="bad">
      {provider && <span className="block font-medium">{t("signInError.at", { provider })}</span>}
      {t(`signInError.${address.error}`)}
    </Notice>
  ) : (
    ended && <Notice tone="info">{t("signIn.ended")}</Notice>
  );
  return shown && <div className="mt-6 -mb-2">{shown}</div>;
}

interface PasswordStepProps {
  prompt: string | undefined;
  username: string;
  password: string;
  busy: boolean;
  problem: Problem | undefined;
  onUsername: (value: string) => void;
  onPassword: (value: string) => void;
  /** A new try has begun: what was wrong with the last one no longer matters. */
  onEdited: () => void;
  onSubmit: () => void;
}

function PasswordStep({ prompt, username, password, busy, problem, onUsername, onPassword, onEdited, onSubmit }: PasswordStepProps) {
  const { t } = useTranslation();
  const [tried, setTried] = useState(false);
  const usernameInput = useRef<HTMLInputElement>(null);
  const passwordInput = useRef<HTMLInputElement>(null);
  const wait = useSecondsUntil(problem?.kind === "wait" ? problem.until : undefined);

  useEffect(() => usernameInput.current?.focus(), []);
  useEffect(() => {
    if (problem) passwordInput.current?.focus();
  }, [problem]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (busy || wait > 0) return;
    setTried(true);
    if (!username.trim()) return usernameInput.current?.focus();
    if (!password) return passwordInput.current?.focus();
    onSubmit();
  };
  return (
    <form className="mt-6 flex flex-col gap-4" onSubmit={submit} noValidate>
      <Field label={prompt ?? t("signIn.username")} error={tried && !username.trim() ? t("signIn.needUsername") : undefined}>
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
              onUsername(event.target.value);
              onEdited();
            }}
          />
        )}
      </Field>
      <PasswordField
        label={t("signIn.password")}
        error={tried && !password && !problem ? t("signIn.needPassword") : undefined}
        ref={passwordInput}
        name="password"
        autoComplete="current-password"
        value={password}
        onChange={(event) => {
          onPassword(event.target.value);
          onEdited();
        }}
      />
      <Button type="submit" look="solid" size="large" className="mt-1" busy={busy} disabled={busy || wait > 0}>
        {busy ? t("signIn.submitting") : t("signIn.submit")}
      </Button>
    </form>
  );
}
