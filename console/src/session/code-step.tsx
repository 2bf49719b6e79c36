// The second factor of somebody whose password was right.
import { useEffect, useRef, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "../ui/button";
import { CodeInput, isWholeCode } from "../ui/code-input";
import { Field } from "../ui/field";
import { Notice } from "../ui/message";
import type { Problem } from "./attempt";
import { useSecondsUntil } from "./countdown";
import { Heading, StartOver } from "./layout";
import { ProblemNotice } from "./problem";

interface Props {
  busy: boolean;
  problem: Problem | undefined;
  justEnrolled: boolean;
  onSubmit: (code: string) => void;
  onStartOver: () => void;
}

export default function CodeStep({ busy, problem, justEnrolled, onSubmit, onStartOver }: Props) {
  const { t } = useTranslation();
  const [code, setCode] = useState("");
  const [tried, setTried] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const wait = useSecondsUntil(problem?.kind === "wait" ? problem.until : undefined);
  useEffect(() => {
    if (problem === undefined || problem.kind === "wrong-code") input.current?.focus();
  }, [problem]);
  // A refused code is no good any more.
  const [seen, setSeen] = useState(problem);
  if (seen !== problem) {
    setSeen(problem);
    if (problem) setCode("");
  }
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!isWholeCode(code)) return input.current?.focus();
    if (!busy && wait === 0) onSubmit(code);
  };
  return (
    <>
      <Heading title={t("secondFactor.title")}>{t("secondFactor.detail")}</Heading>
      <form className="mt-6 flex flex-col gap-4" onSubmit={submit} noValidate>
        {problem ? <ProblemNotice problem={problem} /> : justEnrolled && <Notice tone="good">{t("secondFactor.on")}</Notice>}
        <Field label={t("secondFactor.code")} error={tried && !problem && !isWholeCode(code) ? t("secondFactor.needCode") : undefined}>
          {(props) => <CodeInput {...props} ref={input} value={code} onCode={setCode} />}
        </Field>
        <Button type="submit" look="solid" size="large" busy={busy} disabled={busy || wait > 0}>
          {busy ? t("signIn.submitting") : t("signIn.submit")}
        </Button>
      </form>
      <StartOver onClick={onStartOver} />
    </>
  );
}
