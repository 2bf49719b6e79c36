// Who is here decides what is mounted: sign-in, a question that somebody else asks, or the shell with everything that holds data.
//
// The shell, its caches and its watches exist only below a session. When the
// session ends they are unmounted, so nothing one user saw can reach the next.
// Sign-in needs neither router nor query cache and loads without them.
import { CloudOff } from "lucide-react";
import { lazy, Suspense, useCallback, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { onUnauthenticated } from "../api/http";
import { currentSession, signOut, type Session } from "../api/identity";
import { ApiError } from "../api/status";
import { withWords } from "../i18n/i18n";
import { safePath, SIGN_IN_PATH } from "../lib/safe-path";
import { safeUrl } from "../lib/safe-url";
import { Button } from "../ui/button";
import { Empty } from "../ui/message";
import { DEVICE_PATHS, readAddress, SIGNED_OUT_PATH, VALIDATED_PATH } from "./address";
import { SignIn } from "./sign-in";
import { onSessionChanged, tellSessionChanged } from "./tabs";

const loadShell = () => withWords(import("../shell/shell"), "pages");
const Shell = lazy(loadShell);
const FlowPage = lazy(() => withWords(import("./flow-page"), "asks"));
const DevicePage = lazy(() => withWords(import("./device-page"), "asks"));
const SignedOut = lazy(() => withWords(import("./signed-out"), "asks"));
const Validated = lazy(() => withWords(import("./validated"), "asks"));

/** `fresh`: signed in here, a moment ago. */
type State =
  | { at: "asking" }
  | { at: "unreachable" }
  | { at: "signed-out"; ended: boolean }
  | { at: "left" }
  | { at: "signed-in"; session: Session; fresh: boolean };

/** Puts sign-in into the address bar, with the page it keeps for afterwards. */
function goToSignIn(keep: boolean): void {
  const here = location.pathname + location.search;
  if (location.pathname === SIGN_IN_PATH) return;
  const query = keep && here !== "/" ? `?next=${encodeURIComponent(here)}` : "";
  history.replaceState(null, "", SIGN_IN_PATH + query);
}

function same(a: Session, b: Session): boolean {
  return a.username === b.username && a.expirationTimestamp === b.expirationTimestamp;
}

const wantedFlow = () => (location.pathname === SIGN_IN_PATH ? readAddress(location.search).flow : undefined);

function leaveSignIn(): void {
  if (location.pathname !== SIGN_IN_PATH || wantedFlow() !== undefined) return;
  history.replaceState(null, "", safePath(new URLSearchParams(location.search).get("next")));
}

/** Two pages speak of what is over, and need nobody. */
export function App() {
  switch (location.pathname) {
    case SIGNED_OUT_PATH:
      return (
        <Suspense fallback={null}>
          <SignedOut />
        </Suspense>
      );
    case VALIDATED_PATH:
      return (
        <Suspense fallback={null}>
          <Validated />
        </Suspense>
      );
    default:
      return <WhoIsHere />;
  }
}

function WhoIsHere() {
  const [state, setState] = useState<State>({ at: "asking" });

  const enter = useCallback((session: Session, fresh: boolean) => {
    leaveSignIn();
    setState((old) => (old.at === "signed-in" && same(old.session, session) ? old : { at: "signed-in", session, fresh }));
  }, []);

  const ask = useCallback(async () => {
    // Who left is told so until they ask for more, whatever other tabs do.
    if (location.pathname === SIGNED_OUT_PATH) return;
    try {
      enter(await currentSession(), false);
    } catch (error) {
      if (error instanceof ApiError && error.code === 401) {
        goToSignIn(true);
        setState((old) => (old.at === "signed-out" ? old : { at: "signed-out", ended: old.at === "signed-in" }));
        void loadShell().catch(() => undefined);
      } else {
        // A page that shows something keeps it: it says by itself that the hub does not answer.
        setState((old) => (old.at === "asking" ? { at: "unreachable" } : old));
      }
    }
  }, [enter]);

  // Every state it sets is set after the answer.
  // oxlint-disable-next-line react/set-state-in-effect
  useEffect(() => void ask(), [ask]);

  useEffect(
    () =>
      onUnauthenticated(() => {
        goToSignIn(true);
        setState({ at: "signed-out", ended: true });
      }),
    [],
  );

  useEffect(() => onSessionChanged(() => void ask()), [ask]);

  const leave = useCallback(async (session: Session, idle: boolean) => {
    // Whatever the answer, this page lets go; a session that could not be revoked runs out by itself.
    const answer = await signOut().catch(() => undefined);
    tellSessionChanged();
    const elsewhere = safeUrl(answer?.logoutURL);
    if (elsewhere) return location.assign(elsewhere);
    if (idle || session.provider?.type === "oidc" || session.provider?.type === "saml") {
      // Sign-in would lead to the provider, and the provider straight back in.
      history.replaceState(null, "", idle ? `${SIGNED_OUT_PATH}?reason=idle` : SIGNED_OUT_PATH);
      return setState({ at: "left" });
    }
    goToSignIn(false);
    setState({ at: "signed-out", ended: false });
  }, []);

  const switchAccount = useCallback(async () => {
    await signOut().catch(() => undefined);
    tellSessionChanged();
    goToSignIn(true);
    setState({ at: "signed-out", ended: false });
  }, []);

  switch (state.at) {
    case "asking":
      return null;
    case "unreachable":
      return (
        <Unreachable
          ask={ask}
          onRetry={() => {
            setState({ at: "asking" });
            void ask();
          }}
        />
      );
    case "left":
      return (
        <Suspense fallback={null}>
          <SignedOut />
        </Suspense>
      );
    case "signed-out":
      return (
        <SignIn
          ended={state.ended}
          onSignedIn={(session) => {
            enter(session, true);
            tellSessionChanged();
          }}
        />
      );
    case "signed-in": {
      const { session, fresh } = state;
      const flow = wantedFlow();
      const asked = { session, onOtherAccount: () => void switchAccount() };
      return (
        <Suspense fallback={null}>
          {flow !== undefined ? (
            <FlowPage key={session.username} flow={flow} fresh={fresh} {...asked} />
          ) : DEVICE_PATHS.includes(location.pathname) ? (
            <DevicePage key={session.username} {...asked} />
          ) : (
            <Shell key={session.username} session={session} onSignOut={(idle = false) => void leave(session, idle)} />
          )}
        </Suspense>
      );
    }
  }
}

const ASK_AGAIN_MS = 5_000;

/** Heals by itself: this often shows because the hub is just starting. */
function Unreachable({ ask, onRetry }: { ask: () => Promise<void>; onRetry: () => void }) {
  const { t } = useTranslation();
  useEffect(() => {
    const timer = setInterval(() => void ask(), ASK_AGAIN_MS);
    return () => clearInterval(timer);
  }, [ask]);
  return (
    <main className="grid min-h-dvh place-items-center">
      <Empty icon={CloudOff} title={t("error.boot")} actions={<Button onClick={onRetry}>{t("action.retry")}</Button>}>
        {t("error.unreachable")}
      </Empty>
    </main>
  );
}
