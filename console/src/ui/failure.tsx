// A failed request inside a form: the reason in the API's own words.
import { useTranslation } from "react-i18next";
import { ApiError } from "../api/status";
import { Notice } from "./message";

export function Failure({ error, lines }: { error: Error; lines?: readonly string[] }) {
  const { t } = useTranslation();
  const known = error instanceof ApiError ? error : ApiError.unreachable();
  const words = lines ?? [known.message];
  return (
    <Notice tone="bad">
      {known.code === 0 ? t("error.unreachable") : words.filter(Boolean).join("\n") || t("error.title")}
      {known.requestId && (
        <span className="mt-0.5 block text-caption">{t("error.requestId", { id: known.requestId })}</span>
      )}
    </Notice>
  );
}
