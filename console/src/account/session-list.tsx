// Where somebody is signed in.
import { AppWindow, KeyRound, Monitor, SquareTerminal } from "lucide-react";
import { useTranslation } from "react-i18next";
import type { Session } from "../api/identity";
import { dateAndTime } from "../lib/time";
import { agentName } from "../lib/user-agent";
import { Button } from "../ui/button";
import { Chip, Since } from "../ui/values";

const clients = { console: Monitor, ac: SquareTerminal, api: KeyRound };

interface Props {
  sessions: readonly Session[];
  ending: string | undefined;
  onEnd: (session: Session) => void;
}

export function SessionList({ sessions, ending, onEnd }: Props) {
  const { t, i18n } = useTranslation();
  return (
    <ul aria-label={t("sessions.title")}>
      {sessions.map((session) => {
        const client = (["console", "ac", "api"] as const).find((known) => known === session.client);
        const Icon = client ? clients[client] : AppWindow;
        const seen = Date.parse(session.lastSeenTimestamp ?? "");
        const name = client ? t(`sessions.client.${client}`) : (session.client ?? t("sessions.client.unknown"));
        return (
          <li key={session.id ?? session.createdTimestamp} className="flex items-start gap-3 border-b border-line px-4 py-3 text-table last:border-0 sm:px-5">
            <Icon className="mt-0.5 size-4 shrink-0 text-ink-faint" strokeWidth={1.5} aria-hidden />
            <div className="min-w-0 flex-1">
              <p className="flex flex-wrap items-center gap-x-2">
                <span className="font-medium break-words">{name}</span>
                {session.current && <Chip>{t("sessions.current")}</Chip>}
                {session.secondFactor && <Chip>{t("sessions.secondFactor")}</Chip>}
              </p>
              <p className="break-words text-ink-soft">
                {[session.clientAddress, agentName(session.userAgent)].filter(Boolean).join(" · ")}
              </p>
              <p className="text-caption text-ink-faint">
                {!Number.isNaN(seen) && (
                  <>
                    {t("sessions.seen")} <Since time={seen} />
                    {" · "}
                  </>
                )}
                {t("sessions.until", { time: dateAndTime(Date.parse(session.expirationTimestamp), i18n.language) })}
              </p>
            </div>
            {!session.current && session.id !== undefined && (
              <Button size="small" busy={ending === session.id} disabled={ending !== undefined} aria-label={`${t("sessions.end")}: ${name}, ${session.clientAddress ?? ""}`} onClick={() => onEnd(session)}>
                {t("sessions.end")}
              </Button>
            )}
          </li>
        );
      })}
    </ul>
  );
}
