import { LogOut, Timer } from "lucide-react";
import { useTranslation } from "react-i18next";
import { SIGN_IN_PATH } from "../lib/safe-path";
import { Button } from "../ui/button";
import { Message } from "../ui/outcome";
import { SessionLayout } from "./layout";

export default function SignedOut() {
  const { t } = useTranslation();
  const idle = new URLSearchParams(location.search).get("reason") === "idle";
  return (
    <SessionLayout>
      <Message icon={idle ? Timer : LogOut} title={t("signedOut.title")}>
        {idle ? t("signedOut.idle") : t("signedOut.detail")}
      </Message>
      <Button asChild look="solid" size="large" className="mt-6">
        <a href={SIGN_IN_PATH}>{t("signedOut.again")}</a>
      </Button>
    </SessionLayout>
  );
}
