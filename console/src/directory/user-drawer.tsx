// One user beside the list, at its own address.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { use } from "react";
import { useTranslation } from "react-i18next";
import { SessionList } from "../account/session-list";
import { endSession, readSessions, type Session } from "../api/identity";
import { userCommand, type UserVerb } from "../lib/commands";
import { useProviderName } from "../lib/provider-name";
import { dateAndTime } from "../lib/time";
import { useShell } from "../shell/context";
import { ObjectDrawer } from "../shell/object-drawer";
import { Button } from "../ui/button";
import { Fact, Section } from "../ui/detail";
import { Failure } from "../ui/failure";
import { Notice } from "../ui/message";
import { Queried, Terminal } from "../ui/panel";
import { toast } from "../ui/toast";
import { Absent, Chip, Since } from "../ui/values";
import type { UserView } from "./model";
import { UserStateBadge, useReason } from "./state-badge";
import { actionsFor, UserActionContext, type UserAction } from "./user-actions";
import { userKind } from "./user-listing";

export const UserDrawer = () => <ObjectDrawer kind={userKind} Mark={Mark} Subtitle={Subtitle} State={State} Detail={Detail} />;

function Mark({ view }: { view: UserView }) {
  const { t } = useTranslation();
  return view.admin && <Chip>{t("users.admin")}</Chip>;
}

const Subtitle = ({ view }: { view: UserView }) => view.displayName && <p className="text-table break-words text-ink-soft">{view.displayName}</p>;

const State = ({ view }: { view: UserView }) => <UserStateBadge state={view.state} />;

/** What `ac` can do as well. */
const VERBS: Partial<Record<UserAction, UserVerb>> = { enable: "enable", disable: "disable", unlock: "unlock", resetPassword: "reset-password" };

function Detail({ view }: { view: UserView }) {
  const { t, i18n } = useTranslation();
  const providerName = useProviderName();
  const { session } = useShell();
  const act = use(UserActionContext);
  const actions = actionsFor(view, session.username);
  const date = (value: string | number | undefined) => {
    const time = typeof value === "string" ? Date.parse(value) : value;
    return time === undefined || Number.isNaN(time) ? undefined : dateAndTime(time, i18n.language);
  };
  const validity = [date(view.begin), date(view.end)];
  const reason = useReason()(view);
  const verbs = actions.flatMap((action) => VERBS[action] ?? []);
  return (
    <div className="flex flex-col gap-6 px-5 py-5">
      {view.state !== "Normal" && (
        <Notice tone={view.state === "Invalid" ? "bad" : "stale"} live={false}>
          <span className="font-medium">{reason === view.reason ? t(`userStateDetail.${view.state}`) : reason}</span>
          {view.reason && <span className="block font-mono text-caption">{view.reason}</span>}
          {view.message && <span className="block">{view.message}</span>}
          {view.lockedUntil !== undefined && <span className="block">{t("users.lockedUntil", { time: date(view.lockedUntil) })}</span>}
          {view.since !== undefined && (
            <span className="block text-caption">
              <Since time={view.since} />
            </span>
          )}
        </Notice>
      )}
      <dl className="grid grid-cols-2 gap-x-4 gap-y-4 text-table">
        <Fact name={t("users.email")}>{view.email ?? <Absent />}</Fact>
        <Fact name={t("users.column.provider")}>{providerName(view.provider)}</Fact>
        <Fact name={t("users.column.secondFactor")}>{view.secondFactor ? t("users.on") : t("users.off")}</Fact>
        <Fact name={t("users.password")}>{view.mustChangePassword ? t("users.mustChange") : view.local ? t("users.passwordHere") : t("users.passwordElsewhere")}</Fact>
        <Fact name={t("users.column.lastSignIn")}>{view.lastSignIn === undefined ? t("age.never") : date(view.lastSignIn)}</Fact>
        <Fact name={t("users.column.created")}>{date(view.created) ?? <Absent />}</Fact>
        {(validity[0] ?? validity[1]) && (
          <Fact name={t("users.validity")} wide>
            {t("users.validFromTo", { from: validity[0] ?? "–", to: validity[1] ?? "–" })}
          </Fact>
        )}
      </dl>
      <div className="flex flex-wrap gap-2">
        {actions.map((action) => (
          <Button key={action} look={action === "remove" || action === "disable" ? "risky" : "outline"} onClick={() => act(action, view)}>
            {t(`userAction.${action}`)}
          </Button>
        ))}
      </div>
      <Section title={t("users.column.groups")}>
        {view.groups.length === 0 ? (
          <p className="text-table text-ink-faint">{t("users.noGroups")}</p>
        ) : (
          <ul className="flex flex-wrap gap-1.5">
            {view.groups.map((group) => (
              <li key={group} className="max-w-full rounded border border-line bg-well px-1.5 py-0.5 font-mono text-caption break-all text-ink-soft">
                {group}
              </li>
            ))}
          </ul>
        )}
      </Section>
      <Sessions key={view.username} username={view.username} />
      {verbs.length > 0 && <Terminal command={verbs.map((verb) => userCommand(verb, view.username)).join("\n")} />}
    </div>
  );
}

function Sessions({ username }: { username: string }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const query = useQuery({ queryKey: ["sessions", username], queryFn: () => readSessions(username) });
  const end = useMutation({
    mutationFn: (session: Session) => endSession(session.id ?? ""),
    onSuccess: () => {
      toast(t("sessions.ended"));
      void queries.invalidateQueries({ queryKey: ["sessions"] });
    },
  });
  return (
    <Section title={t("sessions.title")}>
      {end.error && <Failure error={end.error} />}
      <div className="rounded-lg border border-line bg-surface">
        <Queried query={query}>
          {(sessions) =>
            sessions.length === 0 ? (
              <p className="px-4 py-3 text-table text-ink-faint sm:px-5">{t("users.noSessions")}</p>
            ) : (
              <SessionList sessions={sessions} ending={end.isPending ? end.variables.id : undefined} onEnd={end.mutate} />
            )
          }
        </Queried>
      </div>
    </Section>
  );
}
