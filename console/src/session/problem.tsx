import { useTranslation } from "react-i18next";
import type { ApiError } from "../api/status";
import { Notice } from "../ui/message";
import type { Problem } from "./attempt";
import { clock, Countdown, useSecondsUntil } from "./countdown";

export function ProblemNotice({ problem }: { problem: Problem }) {
  const { t } = useTranslation();
  switch (problem.kind) {
    case "wrong":
      return <Notice tone="bad">{t("signIn.wrong")}</Notice>;
    case "wrong-code":
      return <Notice tone="bad">{t("signIn.wrongCode")}</Notice>;
    case "closed":
      return <Notice tone="bad">{t(`signInError.${problem.reason}`)}</Notice>;
    case "provider":
      return (
        <Notice tone="bad">
          {t("signInError.ProviderUnavailable")}
          {problem.message && <span className="block text-caption">{problem.message}</span>}
        </Notice>
      );
    case "wait":
      return <Wait until={problem.until} locked={problem.locked} />;
    case "other":
      return <Unanswered error={problem.error} />;
  }
}

function Wait({ until, locked }: { until: number; locked: boolean }) {
  const { t } = useTranslation();
  const seconds = useSecondsUntil(until);
  if (seconds === 0) return null;
  return (
    <Notice tone="bad">
      {locked && <span className="block font-medium">{t("signIn.locked")}</span>}
      <Countdown
        seconds={seconds}
        words={(left) =>
          locked ? t("signIn.lockedFor", { time: clock(left) }) : left > 90 ? t("signIn.throttledFor", { time: clock(left) }) : t("signIn.throttled", { seconds: left })
        }
      />
    </Notice>
  );
}

export function Unanswered({ error }: { error: ApiError }) {
  const { t } = useTranslation();
  return (
    <Notice tone="bad">
      {error.code === 0 ? t("error.unreachable") : t("error.server")}
      {error.message && <span className="block text-caption">{error.message}</span>}
      {error.requestId && <span className="block text-caption">{t("error.requestId", { id: error.requestId })}</span>}
    </Notice>
  );
}
