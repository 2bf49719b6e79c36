// Why there is no list: the right that is missing and who can grant it, or what went wrong, in the API's own words.
import { Boxes, Lock } from "lucide-react";
import { useTranslation } from "react-i18next";
import type { ApiError } from "../api/status";
import { useShell } from "../shell/context";
import { Button } from "../ui/button";
import { CodeBlock } from "../ui/copy";
import { Empty } from "../ui/message";
import { LIST_COMMAND } from "./commands";

export function ListFailed({ error }: { error: ApiError }) {
  const { t } = useTranslation();
  const { clusters, session } = useShell();
  const forbidden = error.code === 403;
  return (
    <Empty
      icon={forbidden ? Lock : Boxes}
      title={forbidden ? t("clusters.forbidden") : t("clusters.failed")}
      actions={<Button onClick={clusters.retry}>{t("action.retry")}</Button>}
    >
      {forbidden ? (
        <>
          <p>{t("clusters.forbiddenDetail", { user: session.username })}</p>
          <dl className="mt-3 grid grid-cols-[auto_1fr] gap-x-3 gap-y-1 rounded-md border border-line bg-surface px-3 py-2 text-left text-table">
            {Object.entries(MISSING).map(([name, value]) => (
              <div key={name} className="contents">
                <dt className="text-ink-faint">{t(`right.${name as keyof typeof MISSING}`)}</dt>
                <dd className="min-w-0 font-mono break-words">{value}</dd>
              </div>
            ))}
          </dl>
        </>
      ) : (
        <p>{error.code === 0 ? t("error.unreachable") : t("error.server")}</p>
      )}
      {error.message && (
        <p className="mt-3 rounded-md border border-line bg-well px-3 py-2 text-left font-mono text-caption break-words">
          {error.message}
        </p>
      )}
      {error.requestId && (
        <p className="mt-2 text-caption text-ink-faint">{t("error.requestId", { id: error.requestId })}</p>
      )}
      <p className="mt-4 mb-1 text-caption text-ink-faint">{t("clusters.fromTerminal")}</p>
      <div className="text-left">
        <CodeBlock text={LIST_COMMAND} label={t("clusters.fromTerminal")} />
      </div>
    </Empty>
  );
}

/** The right to read the list and follow it, as a Role would grant it. */
const MISSING = {
  verbs: "list, watch",
  resource: "clusters.cluster.x-k8s.io",
  namespace: "cpaas-system",
};
