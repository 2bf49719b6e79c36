// The secret of a second factor, for an authenticator app to take over: as a picture, and as text.
import { lazy, Suspense } from "react";
import { useTranslation } from "react-i18next";
import type { Enrolment } from "../api/identity";
import { CopyButton } from "./copy";

const QrCode = lazy(() => import("./qr-code"));

export function EnrolmentSecret({ enrolment }: { enrolment: Enrolment }) {
  const { t } = useTranslation();
  const grouped = enrolment.secret.replaceAll(/(.{4})(?=.)/g, "$1 ");
  return (
    <div className="flex flex-col items-center gap-3">
      <div className="grid size-44 place-items-center rounded-lg bg-well">
        <Suspense fallback={null}>
          <QrCode text={enrolment.uri} label={t("secondFactor.picture")} />
        </Suspense>
      </div>
      <div className="w-full">
        <p className="mb-1 text-caption text-ink-faint">{t("secondFactor.byHand")}</p>
        <div className="flex items-start gap-1 rounded-md border border-line bg-well py-0.5 pr-0.5 pl-3">
          <code className="min-w-0 flex-1 py-1.5 font-mono text-caption leading-5 break-words">{grouped}</code>
          <CopyButton text={enrolment.secret} label={t("secondFactor.secret")} />
        </div>
        {enrolment.uri.startsWith("otpauth://totp/") && (
          <a href={enrolment.uri} className="mt-2 inline-block text-caption text-accent-text underline underline-offset-4 sm:hidden">
            {t("secondFactor.openApp")}
          </a>
        )}
      </div>
    </div>
  );
}
