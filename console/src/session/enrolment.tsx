// A second factor is set up: its secret for an authenticator app, and a code that shows it is there. Before a session
// as within one; the secret is forgotten with whatever shows it.
import { useCallback, useEffect, useRef, useState, type FormEvent, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Enrolment } from "../api/identity";
import { CodeInput, isWholeCode } from "../ui/code-input";
import { EnrolmentSecret } from "../ui/enrolment";
import { Field } from "../ui/field";
import { problemOf, type Problem } from "./attempt";
import { ProblemNotice } from "./problem";

interface Options {
  begin: () => Promise<Enrolment>;
  confirm: (code: string) => Promise<void>;
  onEnrolled: () => void;
}

interface Setting {
  /** There is a secret, and so something to confirm. */
  begun: boolean;
  busy: boolean;
  /** Asks for a secret once more, when none came. */
  again: (() => void) | undefined;
  fields: ReactNode;
  submit: (event: FormEvent) => void;
}

export function useEnrolment({ begin, confirm, onEnrolled }: Options): Setting {
  const { t } = useTranslation();
  const [enrolment, setEnrolment] = useState<Enrolment>();
  const [code, setCode] = useState("");
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const input = useRef<HTMLInputElement>(null);
  const asked = useRef(false);
  const ask = useCallback(() => {
    begin().then(setEnrolment, (caught: unknown) => setProblem(problemOf(caught, Date.now())));
  }, [begin]);
  useEffect(() => {
    // Each request makes a new secret: one is enough.
    if (asked.current) return;
    asked.current = true;
    ask();
  }, [ask]);
  const again = () => {
    setProblem(undefined);
    ask();
  };

  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!isWholeCode(code)) return input.current?.focus();
    if (busy) return;
    setBusy(true);
    setProblem(undefined);
    confirm(code).then(onEnrolled, (caught: unknown) => {
      setBusy(false);
      setTried(false);
      setCode("");
      setProblem(problemOf(caught, Date.now()));
      input.current?.focus();
    });
  };
  const fields = enrolment ? (
    <>
      <EnrolmentSecret enrolment={enrolment} />
      {problem && <ProblemNotice problem={problem} />}
      <Field label={t("secondFactor.codeShown")} error={tried && !isWholeCode(code) ? t("secondFactor.needCode") : undefined}>
        {(props) => <CodeInput {...props} ref={input} value={code} onCode={setCode} />}
      </Field>
    </>
  ) : (
    problem && <ProblemNotice problem={problem} />
  );
  return { begun: enrolment !== undefined, busy, again: !enrolment && problem ? again : undefined, fields, submit };
}
