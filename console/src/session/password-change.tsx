// A password of one's own is replaced: with a code where there is a second factor, before a session as within one.
import { useState, type ReactNode, type Ref } from "react";
import { useTranslation } from "react-i18next";
import { changePassword } from "../api/identity";
import { ApiError, fieldErrors } from "../api/status";
import type { PasswordLengths } from "../lib/password";
import { CodeInput, isWholeCode } from "../ui/code-input";
import { Field } from "../ui/field";
import { isGoodPassword, NewPassword } from "../ui/new-password";
import { problemOf, type Problem } from "./attempt";

interface Options {
  username: string;
  /** A code will be asked for. Where that is not known, the server says so. */
  secondFactor?: boolean;
  lengths?: PasswordLengths | undefined;
  inputRef?: Ref<HTMLInputElement>;
  onChanged: (newPassword: string) => void;
}

interface Change {
  busy: boolean;
  tried: boolean;
  /** What the fields cannot show. */
  problem: Problem | undefined;
  forgetProblem: () => void;
  fields: ReactNode;
  send: (password: string) => Promise<void>;
}

export function usePasswordChange({ username, secondFactor = false, lengths, inputRef, onChanged }: Options): Change {
  const { t } = useTranslation();
  const [value, setValue] = useState({ first: "", second: "" });
  const [asksCode, setAsksCode] = useState(secondFactor);
  const [code, setCode] = useState("");
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const refused = problem?.kind === "other" ? fieldErrors(problem.error, ["newPassword"]).fields.newPassword : undefined;
  const wrongCode = problem?.kind === "wrong-code";

  const send = async (password: string) => {
    setTried(true);
    if (!password || !isGoodPassword(value, lengths) || (asksCode && !isWholeCode(code)) || busy) return;
    setBusy(true);
    setProblem(undefined);
    try {
      await changePassword({ username, password, newPassword: value.first, ...(asksCode ? { code } : {}) });
      onChanged(value.first);
    } catch (caught) {
      setBusy(false);
      setCode("");
      if (!(caught instanceof ApiError && caught.reason === "SecondFactorRequired")) return setProblem(problemOf(caught, Date.now()));
      // What was tried is the password; the code comes new.
      setTried(false);
      setAsksCode(true);
    }
  };
  const fields = (
    <>
      <NewPassword value={value} lengths={lengths} onChange={setValue} tried={tried} refused={refused} {...(inputRef ? { inputRef } : {})} />
      {asksCode && (
        <Field
          label={t("secondFactor.code")}
          hint={t("secondFactor.detail")}
          error={wrongCode && code === "" ? t("signIn.wrongCode") : tried && !isWholeCode(code) ? t("secondFactor.needCode") : undefined}
        >
          {(props) => <CodeInput {...props} value={code} onCode={setCode} />}
        </Field>
      )}
    </>
  );
  return { busy, tried, problem: refused || wrongCode ? undefined : problem, forgetProblem: () => setProblem(undefined), fields, send };
}
