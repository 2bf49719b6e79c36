// A device without a browser shows a code; it is typed here. What follows is the question of a flow.
import { useEffect, useRef, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { flowOfDevice, type Session } from "../api/identity";
import { ApiError } from "../api/status";
import { Button } from "../ui/button";
import { Field, Input } from "../ui/field";
import type { Problem } from "./attempt";
import { outcomeOf } from "./attempt";
import { FlowContent } from "./flow-page";
import { Heading, SessionLayout, StartOver } from "./layout";
import { ProblemNotice } from "./problem";

/** Devices show two groups of four; people type them in any way. */
export function readUserCode(text: string): string {
  const letters = text.toUpperCase().replaceAll(/[^A-Z0-9]/g, "").slice(0, 8);
  return letters.length > 4 ? `${letters.slice(0, 4)}-${letters.slice(4)}` : letters;
}

interface Props {
  session: Session;
  onOtherAccount: () => void;
}

export default function DevicePage({ session, onOtherAccount }: Props) {
  const [flow, setFlow] = useState<string>();
  return (
    <SessionLayout>
      {flow === undefined ? (
        <AskCode session={session} onFlow={setFlow} onOtherAccount={onOtherAccount} />
      ) : (
        <FlowContent flow={flow} session={session} fresh={false} onOtherAccount={onOtherAccount} />
      )}
    </SessionLayout>
  );
}

function AskCode({ session, onFlow, onOtherAccount }: Props & { onFlow: (flow: string) => void }) {
  const { t } = useTranslation();
  // A link from the device may bring the code along. It is still sent only when somebody presses the button.
  const [code, setCode] = useState(() => readUserCode(new URLSearchParams(location.search).get("user_code") ?? ""));
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [unknown, setUnknown] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (code.length < 9) return input.current?.focus();
    if (busy) return;
    setBusy(true);
    setProblem(undefined);
    setUnknown(false);
    try {
      onFlow((await flowOfDevice(code)).flow);
    } catch (caught) {
      setBusy(false);
      input.current?.focus();
      if (caught instanceof ApiError && caught.code === 404) return setUnknown(true);
      const outcome = outcomeOf(caught, Date.now());
      if ("problem" in outcome) setProblem(outcome.problem);
    }
  };
  return (
    <>
      <Heading title={t("device.title")}>{t("device.detail")}</Heading>
      <form className="mt-6 flex flex-col gap-4" onSubmit={(event) => void submit(event)} noValidate>
        {problem && <ProblemNotice problem={problem} />}
        <Field
          label={t("device.code")}
          hint={t("device.hint", { name: session.username })}
          error={unknown ? t("device.unknown") : tried && code.length < 9 ? t("device.needCode") : undefined}
        >
          {(props) => (
            <Input
              {...props}
              ref={input}
              name="userCode"
              autoComplete="off"
              autoCapitalize="characters"
              placeholder="ABCD-EFGH"
              className="h-12 text-center font-mono text-[20px] tracking-[0.15em]"
              value={code}
              onChange={(event) => {
                setCode(readUserCode(event.target.value));
                setUnknown(false);
              }}
            />
          )}
        </Field>
        <Button type="submit" look="solid" size="large" busy={busy} disabled={busy}>
          {t("device.submit")}
        </Button>
      </form>
      <StartOver onClick={onOtherAccount}>{t("flow.otherAccount")}</StartOver>
    </>
  );
}
