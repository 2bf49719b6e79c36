// Who is here decides what is mounted: sign-in, or the shell with everything that holds data.
//
// The shell, its caches and its watches exist only below a session. When the
// session ends they are unmounted, so nothing one user saw can reach the next.
// Sign-in needs neither router nor query cache and loads without them.
import { CloudOff } from "lucide-react";
import { lazy, Suspense, useCallback, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { currentSession, signOut, type Session } from "../api/gateway";
import { onUnauthenticated } from "../api/http";
import { ApiError } from "../api/status";
import { safePath, SIGN_IN_PATH } from "../lib/safe-path";
import { Button } from "../ui/button";
import { Empty } from "../ui/message";
import { SignIn } from "./sign-in";
import { onSessionChanged, tellSessionChanged } from "./tabs";

const loadShell = () => import("../shell/shell");
const Shell = lazy(loadShell);

type State =
  | { at: "asking" }
  | { at: "unreachable" }
  | { at: "signed-out"; ended: boolean }
  | { at: "signed-in"; session: Session };

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

function leaveSignIn(): void {
  if (location.pathname !== SIGN_IN_PATH) return;
  history.replaceState(null, "", safePath(new URLSearchParams(location.search).get("next")));
}

export function App() {
  const [state, setState] = useState<State>({ at: "asking" });

  const enter = useCallback((session: Session) => {
    leaveSignIn();
    setState((old) => (old.at === "signed-in" && same(old.session, session) ? old : { at: "signed-in", session }));
  }, []);

  const ask = useCallback(async () => {
    try {
      enter(await currentSession());
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

  const leave = useCallback(async () => {
    // Whatever the answer, this page lets go; a session that could not be revoked runs out by itself.
    await signOut().catch(() => undefined);
    tellSessionChanged();
    goToSignIn(false);
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
    case "signed-out":
      return (
        <SignIn
          ended={state.ended}
          onSignedIn={(session) => {
            enter(session);
            tellSessionChanged();
          }}
        />
      );
    case "signed-in":
      return (
        <Suspense fallback={null}>
          <Shell key={state.session.username} session={state.session} onSignOut={() => void leave()} />
        </Suspense>
      );
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
