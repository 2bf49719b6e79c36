// Who gains or loses what, before it happens.
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Preview, RightsChange } from "../api/tenancy";
import { Button } from "../ui/button";
import { Notice } from "../ui/message";
import { usePlaceWords, SubjectName } from "./states";
import { RulesInWords } from "./rules";

const AT_ONCE = 20;

interface Props {
  changes: readonly RightsChange[];
  label: string;
  /** What is said of no change at all. */
  none: string;
}

export function Changes({ changes, label, none }: Props) {
  const { t } = useTranslation();
  const place = usePlaceWords();
  const [most, setMost] = useState(AT_ONCE);
  if (changes.length === 0) return <p className="text-table text-ink-soft">{none}</p>;
  return (
    // A region that scrolls must be reachable by keyboard.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div role="region" aria-label={label} tabIndex={0} className="max-h-80 overflow-y-auto rounded-lg border border-line">
      <ul data-changes={changes.length}>
        {changes.slice(0, most).map(({ subject, cluster, namespace, rules }) => (
          <li key={JSON.stringify([subject, cluster, namespace])} className="border-b border-line bg-surface px-3 py-2.5 text-table last:border-0">
            <p className="flex flex-wrap items-center gap-x-2">
              <span className="min-w-0 font-medium">
                <SubjectName subject={{ kind: subject.kind === "Group" ? "Group" : "User", name: subject.name }} />
              </span>
              <span className="text-caption text-ink-faint">{place({ cluster, ...(namespace ? { namespace } : {}) })}</span>
            </p>
            <RulesInWords rules={rules} className="mt-1 text-ink-soft" />
          </li>
        ))}
        {changes.length > most && (
          <li className="flex justify-center bg-surface py-2">
            <Button size="small" onClick={() => setMost(most + AT_ONCE)}>
              {t("list.more", { count: changes.length - most })}
            </Button>
          </li>
        )}
      </ul>
    </div>
  );
}

/** What a preview could not look at. */
export function Unknown({ preview: { unknownClusters, truncated } }: { preview: Preview }) {
  const { t } = useTranslation();
  return (
    <>
      {unknownClusters.length > 0 && (
        <Notice tone="stale" live={false} className="mt-2">
          {t("bindings.unknownClusters", { clusters: unknownClusters.join(t("place.separator")) })}
        </Notice>
      )}
      {truncated && <p className="mt-2 text-caption text-ink-faint">{t("bindings.truncated")}</p>}
    </>
  );
}
