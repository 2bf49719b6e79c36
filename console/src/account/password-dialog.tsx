import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { changePassword } from "../api/identity";
import { ApiError, fieldErrors } from "../api/status";
import { useShell } from "../shell/context";
import { Button } from "../ui/button";
import { CodeInput, isWholeCode } from "../ui/code-input";
import { Dialog } from "../ui/dialog";
import { Failure } from "../ui/failure";
import { Field } from "../ui/field";
import { isGoodPassword, NewPassword } from "../ui/new-password";
import { PasswordField } from "../ui/password-input";

interface Props {
  onDone: () => void;
  onClose: () => void;
}

export function PasswordDialog({ onDone, onClose }: Props) {
  const { t } = useTranslation();
  const { session } = useShell();
  const [password, setPassword] = useState("");
  const [value, setValue] = useState({ first: "", second: "" });
  const [asksCode, setAsksCode] = useState(session.secondFactor === true);
  const [code, setCode] = useState("");
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const reason = error?.reason;
  const refused = error ? fieldErrors(error, ["newPassword"]) : undefined;
  const wrongPassword = error?.code === 401 && reason !== "WrongCode";

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!password || !isGoodPassword(value) || (asksCode && !isWholeCode(code)) || busy) return;
    setBusy(true);
    setError(undefined);
    try {
      await changePassword({ username: session.username, password, newPassword: value.first, ...(asksCode ? { code } : {}) });
      onDone();
    } catch (caught) {
      setBusy(false);
      setCode("");
      const failure = caught instanceof ApiError ? caught : ApiError.unreachable();
      if (failure.reason === "SecondFactorRequired") return setAsksCode(true);
      setError(failure);
    }
  };
  return (
    <Dialog
      narrow
      title={t("account.changePassword")}
      subtitle={t("account.changePasswordDetail")}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t("action.cancel")}</Button>
          <Button type="submit" form="change-password" look="solid" busy={busy} disabled={busy}>
            {busy ? t("password.submitting") : t("password.submit")}
          </Button>
        </>
      }
    >
      <form id="change-password" onSubmit={(event) => void submit(event)} noValidate className="flex flex-col gap-4">
        <input type="text" hidden readOnly name="username" autoComplete="username" value={session.username} />
        <PasswordField
          label={t("account.currentPassword")}
          name="password"
          autoComplete="current-password"
          value={password}
          error={wrongPassword ? t("account.wrongPassword") : tried && !password ? t("signIn.needPassword") : undefined}
          onChange={(event) => {
            setPassword(event.target.value);
            if (wrongPassword) setError(undefined);
          }}
        />
        <NewPassword value={value} onChange={setValue} tried={tried} refused={refused?.fields.newPassword} />
        {asksCode && (
          <Field
            label={t("secondFactor.code")}
            hint={t("secondFactor.detail")}
            error={reason === "WrongCode" ? t("signIn.wrongCode") : tried && !isWholeCode(code) ? t("secondFactor.needCode") : undefined}
          >
            {(props) => <CodeInput {...props} value={code} onCode={setCode} />}
          </Field>
        )}
        {error && error.code !== 401 && !refused?.fields.newPassword && <Failure error={error} />}
      </form>
    </Dialog>
  );
}
