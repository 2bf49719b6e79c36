// A second factor that must be set up before the first session.
import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import { confirmAtSignIn, enrolAtSignIn } from "../api/identity";
import { Button } from "../ui/button";
import { useEnrolment } from "./enrolment";
import { Heading, StartOver } from "./layout";

interface Props {
  username: string;
  password: string;
  onEnrolled: () => void;
  onStartOver: () => void;
}

export default function EnrolStep({ username, password, onEnrolled, onStartOver }: Props) {
  const { t } = useTranslation();
  const begin = useCallback(() => enrolAtSignIn({ username, password }), [username, password]);
  const { begun, busy, fields, submit } = useEnrolment({ begin, confirm: (code) => confirmAtSignIn({ username, password, code }), onEnrolled });
  return (
    <>
      <Heading title={t("secondFactor.setUp")}>{t("secondFactor.mustSetUp")}</Heading>
      <form className="mt-6 flex flex-col gap-4" onSubmit={submit} noValidate>
        {fields}
        {begun && (
          <Button type="submit" look="solid" size="large" busy={busy} disabled={busy}>
            {busy ? t("secondFactor.confirming") : t("secondFactor.confirm")}
          </Button>
        )}
      </form>
      <StartOver onClick={onStartOver} />
    </>
  );
}
