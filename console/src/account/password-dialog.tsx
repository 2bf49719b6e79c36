import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { usePasswordLengths } from "../directory/policy-query";
import { usePasswordChange } from "../session/password-change";
import { ProblemNotice } from "../session/problem";
import { useShell } from "../shell/context";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { PasswordField } from "../ui/password-input";

interface Props {
  onDone: () => void;
  onClose: () => void;
}

export function PasswordDialog({ onDone, onClose }: Props) {
  const { t } = useTranslation();
  const { session } = useShell();
  const [password, setPassword] = useState("");
  const { busy, tried, problem, forgetProblem, fields, send } = usePasswordChange({
    username: session.username,
    secondFactor: session.secondFactor === true,
    lengths: usePasswordLengths(),
    onChanged: onDone,
  });
  const wrong = problem?.kind === "wrong";
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void send(password);
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
      <form id="change-password" onSubmit={submit} noValidate className="flex flex-col gap-4">
        <CurrentPassword
          username={session.username}
          value={password}
          wrong={wrong}
          tried={tried}
          onChange={(value) => {
            setPassword(value);
            if (wrong) forgetProblem();
          }}
        />
        {fields}
        {problem && !wrong && <ProblemNotice problem={problem} />}
      </form>
    </Dialog>
  );
}

interface CurrentProps {
  username: string;
  value: string;
  wrong: boolean;
  tried: boolean;
  onChange: (value: string) => void;
}

/** The password that there is, asked for before something about it changes. */
export function CurrentPassword({ username, value, wrong, tried, onChange }: CurrentProps) {
  const { t } = useTranslation();
  return (
    <>
      {/* Tells password managers whose password this is. */}
      <input type="text" hidden readOnly name="username" autoComplete="username" value={username} />
      <PasswordField
        label={t("account.currentPassword")}
        name="password"
        autoComplete="current-password"
        value={value}
        error={wrong ? t("account.wrongPassword") : tried && !value ? t("signIn.needPassword") : undefined}
        onChange={(event) => onChange(event.target.value)}
      />
    </>
  );
}
