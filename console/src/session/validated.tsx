// Shown in the window in which an administrator tried a provider out with a real account.
//
// The result is in the fragment of the address, which no server and no log ever sees.
import { CircleCheck, CircleHelp, CircleX } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { readValidation, type Validation } from "../api/validation";
import { Message } from "../ui/outcome";
import { ValidationResult } from "../ui/validation-result";
import { SessionLayout } from "./layout";

export function readFragment(hash: string): Validation | undefined {
  try {
    return readValidation(JSON.parse(decodeURIComponent(hash.replace(/^#/, ""))));
  } catch {
    return undefined;
  }
}

export default function Validated() {
  const { t } = useTranslation();
  const [result] = useState(() => readFragment(location.hash));
  return (
    <SessionLayout>
      {result ? (
        <>
          <Message icon={result.ok ? CircleCheck : CircleX} tone={result.ok ? "good" : "bad"} title={result.ok ? t("validated.ok") : t("validated.failed")}>
            {t("validated.detail")}
          </Message>
          <div className="mt-6">
            <ValidationResult result={result} />
          </div>
        </>
      ) : (
        <Message icon={CircleHelp} title={t("validated.nothing")}>
          {t("validated.nothingDetail")}
        </Message>
      )}
    </SessionLayout>
  );
}
