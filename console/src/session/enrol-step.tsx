// A second factor that must be set up before the first session.
import { useEffect, useRef, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { confirmAtSignIn, enrolAtSignIn, type Enrolment } from "../api/identity";
import { Button } from "../ui/button";
import { CodeInput, isWholeCode } from "../ui/code-input";
import { EnrolmentSecret } from "../ui/enrolment";
import { Field } from "../ui/field";
import { outcomeOf, type Problem } from "./attempt";
import { Heading, StartOver } from "./layout";
import { ProblemNotice } from "./problem";

interface Props {
  username: string;
  password: string;
  onEnrolled: () => void;
  onStartOver: () => void;
}

const problemOf = (caught: unknown): Problem => {
  const outcome = outcomeOf(caught, Date.now());
  return "problem" in outcome ? outcome.problem : { kind: "wrong-code" };
};

export default function EnrolStep({ username, password, onEnrolled, onStartOver }: Props) {
  const { t } = useTranslation();
  const [enrolment, setEnrolment] = useState<Enrolment>();
  const [code, setCode] = useState("");
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const input = useRef<HTMLInputElement>(null);
  const asked = useRef(false);

  useEffect(() => {
    // Each request makes a new secret: one is enough.
    if (asked.current) return;
    asked.current = true;
    enrolAtSignIn({ username, password }).then(setEnrolment, (caught: unknown) => setProblem(problemOf(caught)));
  }, [username, password]);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!isWholeCode(code)) return input.current?.focus();
    if (busy) return;
    setBusy(true);
    setProblem(undefined);
    try {
      await confirmAtSignIn({ username, password, code });
      onEnrolled();
    } catch (caught) {
      setBusy(false);
      setCode("");
      setProblem(problemOf(caught));
      input.current?.focus();
    }
  };
  return (
    <>
      <Heading title={t("secondFactor.setUp")}>{t("secondFactor.mustSetUp")}</Heading>
      <form className="mt-6 flex flex-col gap-4" onSubmit={(event) => void submit(event)} noValidate>
        {enrolment && <EnrolmentSecret enrolment={enrolment} />}
        {problem && <ProblemNotice problem={problem} />}
        {enrolment && (
          <>
            <Field label={t("secondFactor.codeShown")} error={tried && !problem && !isWholeCode(code) ? t("secondFactor.needCode") : undefined}>
              {(props) => <CodeInput {...props} ref={input} value={code} onCode={setCode} />}
            </Field>
            <Button type="submit" look="solid" size="large" busy={busy} disabled={busy}>
              {busy ? t("secondFactor.confirming") : t("secondFactor.confirm")}
            </Button>
          </>
        )}
      </form>
      <StartOver onClick={onStartOver} />
    </>
  );
}
