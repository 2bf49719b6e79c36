// A password that must be changed before it opens anything.
import { useEffect, useRef, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "../ui/button";
import { Heading, StartOver } from "./layout";
import { usePasswordChange } from "./password-change";
import { ProblemNotice } from "./problem";

interface Props {
  username: string;
  password: string;
  onChanged: (password: string) => void;
  onStartOver: () => void;
}

export default function ChangeStep({ username, password, onChanged, onStartOver }: Props) {
  const { t } = useTranslation();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const { busy, problem, fields, send } = usePasswordChange({ username, inputRef: input, onChanged });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void send(password);
  };
  return (
    <>
      <Heading title={t("password.mustChange")}>{t("password.mustChangeDetail")}</Heading>
      <form className="mt-6 flex flex-col gap-4" onSubmit={submit} noValidate>
        {problem && <ProblemNotice problem={problem} />}
        {/* Tells password managers whose password this is. */}
        <input type="text" hidden readOnly name="username" autoComplete="username" value={username} />
        {fields}
        <Button type="submit" look="solid" size="large" busy={busy} disabled={busy}>
          {busy ? t("password.submitting") : t("password.submit")}
        </Button>
      </form>
      <StartOver onClick={onStartOver} />
    </>
  );
}
