// The values of a cluster, drawn the same way in table, cards and drawer.
import { clsx } from "clsx";
import { Cable, CircleDot, Waypoints, type LucideIcon } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useNow } from "../lib/clock";
import { dateAndTime, useAge } from "../lib/time";
import { Absent, Changing, Chip } from "../ui/values";
import type { ClusterView, Link } from "./model";

/** Those of whom nothing is written for this long are late. While nothing is new, the hub writes a heartbeat once in a minute. */
const LATE_AFTER_MS = 90_000;

export function Version({ view }: { view: ClusterView }) {
  const { t } = useTranslation();
  if (!view.version) return <Absent />;
  return (
    <Changing value={view.version}>
      <span
        className={clsx("tabular truncate", !view.versionSupported && "text-warn-text")}
        title={view.versionSupported ? undefined : t("clusters.versionUnsupported")}
      >
        {view.version}
      </span>
    </Changing>
  );
}

export function Nodes({ view }: { view: ClusterView }) {
  const { t } = useTranslation();
  if (!view.nodes) return <Absent />;
  const { ready, total } = view.nodes;
  const share = total > 0 ? Math.min(1, ready / total) : 0;
  const known = view.health !== "unknown";
  return (
    <Changing value={`${ready}/${total}`}>
      <span className="inline-flex items-center gap-2.5 tabular">
        <span aria-hidden>
          {ready}
          <span className="text-ink-faint"> / {total}</span>
        </span>
        <span className="h-1 w-10 overflow-hidden rounded-full bg-line-strong" aria-hidden data-mark>
          <span
            className={clsx("block h-full rounded-full", !known ? "bg-mute" : ready < total ? "bg-warn" : "bg-good")}
            style={{ width: `${share * 100}%` }}
          />
        </span>
        <span className="sr-only">{t("clusters.nodesReady", { ready, total })}</span>
      </span>
    </Changing>
  );
}

export function Heartbeat({ view }: { view: ClusterView }) {
  const { i18n } = useTranslation();
  const words = useAge(view.heartbeat);
  const from = view.heartbeat;
  const late = useNow((now) => from !== undefined && now - from > LATE_AFTER_MS);
  if (from === undefined) return <span className="text-ink-faint">{words}</span>;
  return (
    <time
      dateTime={new Date(from).toISOString()}
      title={dateAndTime(from, i18n.language)}
      className={clsx("tabular whitespace-nowrap", late ? "text-warn-text" : "text-ink-soft")}
    >
      {words}
    </time>
  );
}

const linkIcons: Record<Exclude<Link, "unknown">, LucideIcon> = {
  "in-process": CircleDot,
  tunnel: Waypoints,
  direct: Cable,
};

export function LinkKind({ link }: { link: Link }) {
  const { t } = useTranslation();
  if (link === "unknown") return <Absent />;
  const Icon = linkIcons[link];
  return (
    <span className="inline-flex items-center gap-1.5 align-middle whitespace-nowrap text-ink-soft" title={t(`linkDetail.${link}`)}>
      <Icon className="size-4 shrink-0 text-ink-faint" strokeWidth={1.5} aria-hidden />
      {t(`link.${link}`)}
    </span>
  );
}

export function HubChip() {
  const { t } = useTranslation();
  return <Chip>{t("clusters.hub")}</Chip>;
}
