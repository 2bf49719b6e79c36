// A password that must be changed before it opens anything.
import { useEffect, useRef, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { changePassword } from "../api/identity";
import { ApiError, fieldErrors } from "../api/status";
import { Button } from "../ui/button";
import { CodeInput, isWholeCode } from "../ui/code-input";
import { Field } from "../ui/field";
import { isGoodPassword, NewPassword } from "../ui/new-password";
import { outcomeOf, type Problem } from "./attempt";
import { Heading, StartOver } from "./layout";
import { ProblemNotice } from "./problem";

interface Props {
  username: string;
  password: string;
  /** The code is not sent on: it has been used. */
  onChanged: (password: string, code?: string) => void;
  onStartOver: () => void;
}

export default function ChangeStep({ username, password, onChanged, onStartOver }: Props) {
  const { t } = useTranslation();
  const [value, setValue] = useState({ first: "", second: "" });
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [asksCode, setAsksCode] = useState(false);
  const [code, setCode] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const [refused, setRefused] = useState<string>();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!isGoodPassword(value) || (asksCode && !isWholeCode(code)) || busy) return;
    setBusy(true);
    setProblem(undefined);
    setRefused(undefined);
    try {
      await changePassword({ username, password, newPassword: value.first, ...(asksCode ? { code } : {}) });
      onChanged(value.first);
    } catch (caught) {
      setBusy(false);
      const outcome = outcomeOf(caught, Date.now());
      if ("next" in outcome) return setAsksCode(outcome.next === "code");
      const { newPassword } = caught instanceof ApiError ? fieldErrors(caught, ["newPassword"]).fields : {};
      if (newPassword) setRefused(newPassword);
      else setProblem(outcome.problem);
      setCode("");
    }
  };
  return (
    <>
      <Heading title={t("password.mustChange")}>{t("password.mustChangeDetail")}</Heading>
      <form className="mt-6 flex flex-col gap-4" onSubmit={(event) => void submit(event)} noValidate>
        {problem && <ProblemNotice problem={problem} />}
        {/* Tells password managers whose password this is. */}
        <input type="text" hidden readOnly name="username" autoComplete="username" value={username} />
        <NewPassword value={value} onChange={setValue} tried={tried} refused={refused} inputRef={input} />
        {asksCode && (
          <Field label={t("secondFactor.code")} hint={t("secondFactor.detail")} error={tried && !isWholeCode(code) ? t("secondFactor.needCode") : undefined}>
            {(props) => <CodeInput {...props} value={code} onCode={setCode} />}
          </Field>
        )}
        <Button type="submit" look="solid" size="large" busy={busy} disabled={busy}>
          {busy ? t("password.submitting") : t("password.submit")}
        </Button>
      </form>
      <StartOver onClick={onStartOver} />
    </>
  );
}
