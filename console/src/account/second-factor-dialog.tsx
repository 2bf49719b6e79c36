import { useMutation, useQuery } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { beginSecondFactor, confirmSecondFactor, endSecondFactor } from "../api/identity";
import { ApiError } from "../api/status";
import { useShell } from "../shell/context";
import { Button } from "../ui/button";
import { CodeInput, isWholeCode } from "../ui/code-input";
import { Dialog } from "../ui/dialog";
import { EnrolmentSecret } from "../ui/enrolment";
import { Failure } from "../ui/failure";
import { Field } from "../ui/field";
import { PasswordField } from "../ui/password-input";
import { Queried } from "../ui/panel";

interface Props {
  onDone: () => void;
  onClose: () => void;
}

const isRefused = (error: Error | null) => error instanceof ApiError && error.code === 401;

export function SecondFactorDialog({ onDone, onClose }: Props) {
  const { t } = useTranslation();
  // Each request makes a new secret; it is forgotten with the dialog.
  const enrolment = useQuery({ queryKey: ["enrolment"], queryFn: beginSecondFactor, gcTime: 0, staleTime: Number.POSITIVE_INFINITY, retry: false });
  const [code, setCode] = useState("");
  const [tried, setTried] = useState(false);
  const confirm = useMutation({ mutationFn: confirmSecondFactor, onSuccess: onDone, onError: () => setCode("") });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (isWholeCode(code) && !confirm.isPending) confirm.mutate(code);
  };
  const wrong = isRefused(confirm.error);
  return (
    <Dialog
      narrow
      title={t("secondFactor.setUp")}
      subtitle={t("account.scan")}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t("action.cancel")}</Button>
          <Button type="submit" form="second-factor" look="solid" busy={confirm.isPending} disabled={!enrolment.data || confirm.isPending}>
            {confirm.isPending ? t("secondFactor.confirming") : t("secondFactor.confirm")}
          </Button>
        </>
      }
    >
      <form id="second-factor" onSubmit={submit} noValidate className="flex flex-col gap-4">
        <Queried query={enrolment}>{(data) => <EnrolmentSecret enrolment={data} />}</Queried>
        {confirm.error && !wrong && <Failure error={confirm.error} />}
        <Field
          label={t("secondFactor.codeShown")}
          error={wrong && code === "" ? t("signIn.wrongCode") : tried && !wrong && !isWholeCode(code) ? t("secondFactor.needCode") : undefined}
        >
          {(props) => <CodeInput {...props} value={code} onCode={setCode} />}
        </Field>
      </form>
    </Dialog>
  );
}

export function EndSecondFactorDialog({ onDone, onClose }: Props) {
  const { t } = useTranslation();
  const { session } = useShell();
  const [password, setPassword] = useState("");
  const [tried, setTried] = useState(false);
  const end = useMutation({ mutationFn: () => endSecondFactor(password), onSuccess: onDone });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (password && !end.isPending) end.mutate();
  };
  const wrong = isRefused(end.error);
  return (
    <Dialog
      narrow
      title={t("account.turnOffTitle")}
      subtitle={t("account.turnOffDetail")}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t("action.cancel")}</Button>
          <Button type="submit" form="end-second-factor" look="danger" busy={end.isPending} disabled={end.isPending}>
            {t("account.turnOff")}
          </Button>
        </>
      }
    >
      <form id="end-second-factor" onSubmit={submit} noValidate className="flex flex-col gap-4">
        <input type="text" hidden readOnly name="username" autoComplete="username" value={session.username} />
        <PasswordField
          label={t("account.currentPassword")}
          name="password"
          autoComplete="current-password"
          value={password}
          error={wrong ? t("account.wrongPassword") : tried && !password ? t("signIn.needPassword") : undefined}
          onChange={(event) => {
            setPassword(event.target.value);
            if (end.error) end.reset();
          }}
        />
        {end.error && !wrong && <Failure error={end.error} />}
      </form>
    </Dialog>
  );
}
