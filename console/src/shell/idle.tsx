// Where the policy says so, a session that nobody is at ends: a minute before, the page says so.
//
// All tabs of a browser are one person's: what is done in one counts in the others. The hub keeps its own clock; what
// is done here reaches it as a question who is signed in, at most once a minute, since watching a list is not activity.
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { currentSession } from "../api/identity";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";

const CHANNEL = "acp.activity";
const WARN_SECONDS = 60;
const TELL_MS = 60_000;
const ACTIVITY = ["pointerdown", "keydown", "wheel"] as const;

export default function Idle({ idleSeconds, onIdle }: { idleSeconds: number; onIdle: () => void }) {
  const [left, setLeft] = useState<number>();
  const warning = left !== undefined;
  const state = useRef({ last: 0, told: 0, warning: false });
  const over = useRef(onIdle);
  useEffect(() => {
    over.current = onIdle;
    state.current.warning = warning;
  });
  const active = useRef<() => void>(() => undefined);

  useEffect(() => {
    const now = state.current;
    now.last = Date.now();
    now.told = Date.now();
    let ended = false;
    const channel = new BroadcastChannel(CHANNEL);
    const stay = () => {
      now.last = Date.now();
      setLeft(undefined);
    };
    channel.addEventListener("message", stay);
    active.current = () => {
      stay();
      if (Date.now() - now.told < Math.min(TELL_MS, (idleSeconds * 1000) / 4)) return;
      now.told = Date.now();
      // A channel reaches its own origin only, and takes no target.
      // oxlint-disable-next-line unicorn/require-post-message-target-origin
      channel.postMessage("active");
      void currentSession().catch(() => undefined);
    };
    // Once the question is there it wants an answer: a mouse that is bumped is none.
    const heard = () => !now.warning && active.current();
    for (const name of ACTIVITY) document.addEventListener(name, heard, { passive: true });
    const timer = setInterval(() => {
      const rest = Math.ceil(idleSeconds - (Date.now() - now.last) / 1000);
      if (rest <= 0 && !ended) {
        ended = true;
        over.current();
      } else if (rest <= Math.min(WARN_SECONDS, idleSeconds / 2)) setLeft(rest);
    }, 1_000);
    return () => {
      clearInterval(timer);
      channel.close();
      for (const name of ACTIVITY) document.removeEventListener(name, heard);
    };
  }, [idleSeconds]);

  const answer = () => {
    state.current.told = 0;
    active.current();
  };
  return warning && <Warning seconds={left} onStay={answer} onLeave={onIdle} />;
}

function Warning({ seconds, onStay, onLeave }: { seconds: number; onStay: () => void; onLeave: () => void }) {
  const { t } = useTranslation();
  return (
    <Dialog
      narrow
      title={t("idle.title")}
      subtitle={t("idle.detail")}
      onClose={onStay}
      footer={
        <>
          <Button onClick={onLeave}>{t("user.signOut")}</Button>
          <Button look="solid" data-first-focus onClick={onStay}>
            {t("idle.stay")}
          </Button>
        </>
      }
    >
      <p className="tabular text-[28px] leading-9 font-semibold" role="timer" aria-live="off">
        {t("idle.left", { count: Math.max(0, seconds) })}
      </p>
    </Dialog>
  );
}
