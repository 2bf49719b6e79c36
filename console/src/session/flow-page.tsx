// Somebody is asked whether a program or a device may sign in as them.
//
// Nothing is approved by itself, with one exception: who has just typed a password for a client of the platform's own
// has answered already. A device is never approved that way: its code must be compared first.
import { Check, CircleX, MonitorSmartphone, Timer } from "lucide-react";
import { useCallback, useEffect, useRef, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { decideFlow, readFlow, type Flow, type Session } from "../api/identity";
import { ApiError } from "../api/status";
import { useProviderName } from "../lib/provider-name";
import { safeUrl } from "../lib/safe-url";
import { Button } from "../ui/button";
import { Message } from "../ui/outcome";
import { Heading, SessionLayout, StartOver } from "./layout";
import { Unanswered } from "./problem";

const SCOPES = ["openid", "profile", "email", "groups", "offline_access"] as const;

interface Props {
  flow: string;
  session: Session;
  /** The person signed in for this flow, a moment ago. */
  fresh: boolean;
  onOtherAccount: () => void;
}

type State =
  | { at: "asking" }
  | { at: "gone" }
  | { at: "failed"; error: ApiError }
  | { at: "deciding"; flow: Flow }
  | { at: "done"; verdict: Verdict; flow: Flow }
  | { at: "refused-address" };
type Verdict = "approve" | "deny";

/** Who registers a client chooses its name; no real one is longer. */
const LONGEST_NAME = 60;

function withShortName(flow: Flow): Flow {
  const { name, id } = flow.client;
  const shown = name || id;
  return { ...flow, client: { ...flow.client, name: shown.length > LONGEST_NAME ? `${shown.slice(0, LONGEST_NAME)}…` : shown } };
}

const asError = (caught: unknown): ApiError => (caught instanceof ApiError ? caught : ApiError.unreachable());

export default function FlowPage(props: Props) {
  return (
    <SessionLayout>
      <FlowContent {...props} />
    </SessionLayout>
  );
}

export function FlowContent({ flow: id, session, fresh, onOtherAccount }: Props) {
  const { t } = useTranslation();
  const [state, setState] = useState<State>({ at: "asking" });
  const [busy, setBusy] = useState<Verdict>();
  const [error, setError] = useState<ApiError>();
  const sent = useRef(false);

  const decide = useCallback(
    async (flow: Flow, verdict: Verdict) => {
      if (sent.current) return;
      sent.current = true;
      setBusy(verdict);
      setError(undefined);
      try {
        const answer = await decideFlow(id, verdict);
        if (answer?.redirectURL === undefined) return setState({ at: "done", verdict, flow });
        const url = safeUrl(answer.redirectURL);
        if (!url) return setState({ at: "refused-address" });
        location.assign(url);
      } catch (caught) {
        sent.current = false;
        setBusy(undefined);
        const failure = asError(caught);
        if (failure.code === 404 || failure.code === 410) setState({ at: "gone" });
        else setError(failure);
      }
    },
    [id],
  );

  useEffect(() => {
    let gone = false;
    const read = async () => {
      try {
        const flow = withShortName(await readFlow(id));
        if (gone) return;
        setState({ at: "deciding", flow });
        if (fresh && flow.client.firstParty && !flow.device) await decide(flow, "approve");
      } catch (caught) {
        if (gone) return;
        const failure = asError(caught);
        setState([400, 404, 410].includes(failure.code) ? { at: "gone" } : { at: "failed", error: failure });
      }
    };
    void read();
    return () => {
      gone = true;
    };
  }, [id, fresh, decide]);

  switch (state.at) {
    case "asking":
      return null;
    case "gone":
      return (
        <Message icon={Timer} title={t("flow.gone")}>
          {t("flow.goneDetail")}
        </Message>
      );
    case "refused-address":
      return (
        <Message icon={CircleX} tone="bad" title={t("flow.badAddress")}>
          {t("flow.badAddressDetail")}
        </Message>
      );
    case "failed":
      return (
        <>
          <Heading title={t("flow.failed")} />
          <div className="mt-6">
            <Unanswered error={state.error} />
          </div>
          <StartOver onClick={() => location.reload()}>{t("action.retry")}</StartOver>
        </>
      );
    case "done":
      return state.verdict === "approve" ? (
        <Message icon={Check} tone="good" title={t("flow.deviceDone")}>
          {t("flow.deviceDoneDetail", { name: state.flow.client.name })}
        </Message>
      ) : (
        <Message icon={CircleX} title={t("flow.denied")}>
          {t("flow.deniedDetail")}
        </Message>
      );
    case "deciding":
      break;
  }

  const { flow } = state;
  const props = { flow, session, busy, onDecide: (verdict: Verdict) => void decide(flow, verdict) };
  return (
    <>
      {flow.device ? <Device {...props} /> : flow.client.firstParty ? <Continue {...props} /> : <Consent {...props} />}
      {error && (
        <div className="mt-4">
          <Unanswered error={error} />
        </div>
      )}
      <StartOver onClick={onOtherAccount}>{t("flow.otherAccount")}</StartOver>
    </>
  );
}

interface AskProps {
  flow: Flow;
  session: Session;
  busy: Verdict | undefined;
  onDecide: (verdict: Verdict) => void;
}

function Continue({ flow, session, busy, onDecide }: AskProps) {
  const { t } = useTranslation();
  return (
    <>
      <Heading title={t("flow.signInTo", { name: flow.client.name })}>{t("flow.haveSession")}</Heading>
      <Who session={session} />
      <Button look="solid" size="large" className="mt-4" busy={busy !== undefined} disabled={busy !== undefined} onClick={() => onDecide("approve")}>
        <span className="truncate">{t("flow.continueAs", { name: session.displayName ?? session.username })}</span>
      </Button>
    </>
  );
}

function Consent({ flow, session, busy, onDecide }: AskProps) {
  const { t } = useTranslation();
  return (
    <>
      <Heading title={t("flow.consent", { name: flow.client.name })}>{t("flow.consentDetail")}</Heading>
      <Who session={session} />
      <Scopes flow={flow} />
      <Verdicts allow={t("flow.allow")} busy={busy} onDecide={onDecide} />
    </>
  );
}

// threats.md case 35: the code is compared, and who asked is said, before anything can be approved.
function Device({ flow, session, busy, onDecide }: AskProps) {
  const { t } = useTranslation();
  return (
    <>
      <Heading title={t("flow.deviceQuestion")}>{t("flow.deviceDetail")}</Heading>
      <p
        className="mt-5 rounded-lg border border-line bg-well py-4 text-center font-mono text-[28px] leading-9 font-semibold tracking-[0.12em]"
        data-user-code
      >
        {flow.userCode}
      </p>
      <dl className="mt-4 grid grid-cols-[auto_1fr] gap-x-4 gap-y-2 text-table">
        <Row name={t("flow.client")}>
          {flow.client.name} <span className="font-mono text-caption text-ink-faint">{flow.client.id}</span>
        </Row>
        <Row name={t("flow.address")}>
          <span className="font-mono">{flow.address ?? t("flow.addressUnknown")}</span>
        </Row>
        <Row name={t("flow.as")}>{session.username}</Row>
      </dl>
      <p className="mt-4 flex gap-2.5 rounded-md border border-warn/30 bg-warn-soft px-3 py-2 text-table text-warn-text">
        <MonitorSmartphone className="mt-0.5 size-4 shrink-0" strokeWidth={1.75} aria-hidden />
        {t("flow.deviceWarning")}
      </p>
      <Verdicts allow={t("flow.approve")} busy={busy} onDecide={onDecide} />
    </>
  );
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-ink-faint">{name}</dt>
      <dd className="min-w-0 break-words">{children}</dd>
    </>
  );
}

function Who({ session }: { session: Session }) {
  const { t } = useTranslation();
  const providerName = useProviderName();
  return (
    <div className="mt-5 rounded-lg border border-line bg-well px-3 py-2.5">
      <p className="text-caption text-ink-faint">{t("flow.signedInAs")}</p>
      <p className="font-medium break-words">{session.displayName ?? session.username}</p>
      <p className="text-caption break-words text-ink-soft">
        {[session.displayName && session.username, session.provider && providerName(session.provider)].filter(Boolean).join(" · ")}
      </p>
    </div>
  );
}

function Scopes({ flow }: { flow: Flow }) {
  const { t } = useTranslation();
  return (
    <section className="mt-4">
      <h2 className="mb-2 text-table">{t("flow.may")}</h2>
      <ul className="flex flex-col gap-1.5 text-table">
        {flow.scopes.map((scope) => {
          const known = SCOPES.find((name) => name === scope);
          return (
            <li key={scope} className="flex gap-2">
              <Check className="mt-0.5 size-4 shrink-0 text-ink-faint" aria-hidden />
              <span className="min-w-0 break-words">{known ? t(`scope.${known}`) : t("scope.other", { scope })}</span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function Verdicts({ allow, busy, onDecide }: { allow: string; busy: Verdict | undefined; onDecide: (verdict: Verdict) => void }) {
  const { t } = useTranslation();
  return (
    <div className="mt-5 grid grid-cols-2 gap-2.5">
      <Button size="large" busy={busy === "deny"} disabled={busy !== undefined} onClick={() => onDecide("deny")}>
        {t("flow.deny")}
      </Button>
      <Button look="solid" size="large" busy={busy === "approve"} disabled={busy !== undefined} onClick={() => onDecide("approve")}>
        {allow}
      </Button>
    </div>
  );
}
