// One's own account: who one is here, where one is signed in, and what opens the door.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { endSession, endSessions, readSecondFactor, readSessions, type Session } from "../api/identity";
import { endSessionCommand, SESSIONS_COMMAND } from "../lib/commands";
import { useProviderName } from "../lib/provider-name";
import { dateAndTime } from "../lib/time";
import { useShell } from "../shell/context";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Fact } from "../ui/detail";
import { Failure } from "../ui/failure";
import { Panel, Queried } from "../ui/panel";
import { toast } from "../ui/toast";
import { Absent, Chip } from "../ui/values";
import { PasswordDialog } from "./password-dialog";
import { EndSecondFactorDialog, SecondFactorDialog } from "./second-factor-dialog";
import { SessionList } from "./session-list";
import { Tokens } from "./tokens";

export function AccountPage() {
  const { t } = useTranslation();
  const { session } = useShell();
  const type = session.provider?.type ?? "local";
  useEffect(() => {
    document.title = `${t("account.title")} · ${t("product.name")}`;
  }, [t]);
  return (
    <div className="mx-auto flex max-w-4xl flex-col gap-4 px-4 pt-5 pb-8 sm:px-6">
      <h1 className="text-title">{t("account.title")}</h1>
      <Me session={session} />
      <Sessions />
      <Tokens />
      <SecondFactor type={type} />
      {type === "local" && <Password />}
    </div>
  );
}

function Me({ session }: { session: Session }) {
  const { t, i18n } = useTranslation();
  const providerName = useProviderName();
  const expires = Date.parse(session.expirationTimestamp);
  return (
    <section className="rounded-lg border border-line bg-surface px-4 py-4 sm:px-5" aria-label={t("account.me")}>
      <p className="text-heading font-semibold break-words">{session.displayName ?? session.username}</p>
      <dl className="mt-3 grid grid-cols-1 gap-x-6 gap-y-3 text-table sm:grid-cols-3">
        <Fact name={t("account.username")}>{session.username}</Fact>
        <Fact name={t("account.provider")}>{session.provider ? providerName(session.provider) : <Absent />}</Fact>
        <Fact name={t("account.until")}>{Number.isNaN(expires) ? <Absent /> : dateAndTime(expires, i18n.language)}</Fact>
        <Fact name={t("account.groups")} wide>
          {session.groups.length === 0 ? (
            <span className="text-ink-faint">{t("account.noGroups")}</span>
          ) : (
            <span className="flex flex-wrap items-center gap-1.5">
              {session.admin && <Chip>{t("users.admin")}</Chip>}
              {session.groups.map((group) => (
                <span key={group} className="max-w-full rounded border border-line bg-well px-1.5 py-0.5 font-mono text-caption break-all text-ink-soft">
                  {group}
                </span>
              ))}
            </span>
          )}
        </Fact>
      </dl>
    </section>
  );
}

function Sessions() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const query = useQuery({ queryKey: ["sessions"], queryFn: () => readSessions() });
  const [asking, setAsking] = useState(false);
  const again = () => void queries.invalidateQueries({ queryKey: ["sessions"] });
  const end = useMutation({
    mutationFn: (session: Session) => endSession(session.id ?? ""),
    onSuccess: () => {
      toast(t("sessions.ended"));
      again();
    },
  });
  const others = query.data?.filter(({ current }) => !current) ?? [];
  return (
    <Panel
      title={t("sessions.title")}
      detail={t("sessions.detail")}
      command={[SESSIONS_COMMAND, ...(others[0]?.id ? [endSessionCommand(others[0].id)] : [])].join("\n")}
      action={
        others.length > 0 && (
          <Button look="risky" onClick={() => setAsking(true)}>
            {t("sessions.endOthers")}
          </Button>
        )
      }
    >
      {end.error && (
        <div className="px-4 pt-3 sm:px-5">
          <Failure error={end.error} />
        </div>
      )}
      <Queried query={query}>
        {(sessions) => (
          <SessionList
            sessions={sessions.toSorted((a, b) => Number(b.current ?? false) - Number(a.current ?? false))}
            ending={end.isPending ? end.variables.id : undefined}
            onEnd={end.mutate}
          />
        )}
      </Queried>
      {asking && (
        <ConfirmDialog
          title={t("sessions.endOthers")}
          effects={[t("sessions.endOthersEffect", { count: others.length }), t("sessions.endOthersTokens")]}
          submit={t("sessions.endOthers")}
          run={() => endSessions()}
          onDone={() => {
            setAsking(false);
            toast(t("sessions.ended"));
            again();
          }}
          onClose={() => setAsking(false)}
        />
      )}
    </Panel>
  );
}

function SecondFactor({ type }: { type: string }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const ours = type === "local" || type === "ldap";
  const query = useQuery({ queryKey: ["second-factor"], queryFn: readSecondFactor, enabled: ours });
  const [open, setOpen] = useState<"enable" | "disable">();
  const done = (words: string) => {
    setOpen(undefined);
    toast(words);
    void queries.invalidateQueries({ queryKey: ["second-factor"] });
  };
  if (!ours) return <Panel title={t("account.secondFactor")} detail={t("account.secondFactorElsewhere")} />;
  const enabled = query.data?.enabled;
  return (
    <Panel
      title={t("account.secondFactor")}
      detail={enabled === undefined ? t("account.secondFactorDetail") : enabled ? t("account.secondFactorOn") : t("account.secondFactorOff")}
      action={
        enabled !== undefined && (
          <Button look={enabled ? "risky" : "outline"} onClick={() => setOpen(enabled ? "disable" : "enable")}>
            {enabled ? t("account.turnOff") : t("account.setUp")}
          </Button>
        )
      }
    >
      {query.error && <Queried query={query}>{() => null}</Queried>}
      {open === "enable" && <SecondFactorDialog onDone={() => done(t("account.secondFactorDone"))} onClose={() => setOpen(undefined)} />}
      {open === "disable" && <EndSecondFactorDialog onDone={() => done(t("account.secondFactorGone"))} onClose={() => setOpen(undefined)} />}
    </Panel>
  );
}

function Password() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [open, setOpen] = useState(false);
  return (
    <Panel
      title={t("account.password")}
      detail={t("account.passwordDetail")}
      action={<Button onClick={() => setOpen(true)}>{t("account.changePassword")}</Button>}
    >
      {open && (
        <PasswordDialog
          onDone={() => {
            setOpen(false);
            toast(t("account.passwordDone"));
            void queries.invalidateQueries({ queryKey: ["sessions"] });
          }}
          onClose={() => setOpen(false)}
        />
      )}
    </Panel>
  );
}
