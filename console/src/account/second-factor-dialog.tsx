import { useMutation } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { beginSecondFactor, confirmSecondFactor, endSecondFactor } from "../api/identity";
import { ApiError } from "../api/status";
import { useEnrolment } from "../session/enrolment";
import { useShell } from "../shell/context";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Failure } from "../ui/failure";
import { CurrentPassword } from "./password-dialog";

interface Props {
  onDone: () => void;
  onClose: () => void;
}

export function SecondFactorDialog({ onDone, onClose }: Props) {
  const { t } = useTranslation();
  const { begun, busy, again, fields, submit } = useEnrolment({ begin: beginSecondFactor, confirm: confirmSecondFactor, onEnrolled: onDone });
  return (
    <Dialog
      narrow
      title={t("secondFactor.setUp")}
      subtitle={t("account.scan")}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t("action.cancel")}</Button>
          <Button type="submit" form="second-factor" look="solid" busy={busy} disabled={!begun || busy}>
            {busy ? t("secondFactor.confirming") : t("secondFactor.confirm")}
          </Button>
        </>
      }
    >
      <form id="second-factor" onSubmit={submit} noValidate className="flex flex-col gap-4">
        {fields}
        {again && (
          <div>
            <Button onClick={again}>{t("action.retry")}</Button>
          </div>
        )}
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
  const wrong = end.error instanceof ApiError && end.error.code === 401;
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
        <CurrentPassword
          username={session.username}
          value={password}
          wrong={wrong}
          tried={tried}
          onChange={(value) => {
            setPassword(value);
            if (end.error) end.reset();
          }}
        />
        {end.error && !wrong && <Failure error={end.error} />}
      </form>
    </Dialog>
  );
}
