// A cluster's health as mark, shape and word: colour is never the only sign.
import { clsx } from "clsx";
import { CircleCheck, CircleHelp, CircleMinus, CircleX, Clock3, TriangleAlert, type LucideIcon } from "lucide-react";
import { useTranslation } from "react-i18next";
import type { Health } from "./model";

export const healthLooks: Record<Health, { icon: LucideIcon; mark: string; badge: string }> = {
  healthy: { icon: CircleCheck, mark: "text-good", badge: "" },
  degraded: { icon: TriangleAlert, mark: "text-warn", badge: "bg-warn-soft text-warn-text" },
  unhealthy: { icon: CircleX, mark: "text-bad", badge: "bg-bad-soft text-bad-text" },
  unknown: { icon: CircleHelp, mark: "text-mute", badge: "bg-mute-soft text-mute-text" },
  pending: { icon: Clock3, mark: "text-info", badge: "bg-info-soft text-info-text" },
  removing: { icon: CircleMinus, mark: "text-mute", badge: "bg-mute-soft text-mute-text" },
};

export function HealthBadge({ health }: { health: Health }) {
  const { t } = useTranslation();
  const { icon: Icon, mark, badge } = healthLooks[health];
  return (
    <span
      data-health={health}
      className={clsx(
        "inline-flex h-6 items-center gap-1.5 rounded-full text-table whitespace-nowrap",
        badge ? `${badge} -ml-1.5 pr-2.5 pl-1.5 font-medium` : "text-ink",
      )}
    >
      <Icon className={clsx("size-4 shrink-0", mark)} strokeWidth={1.75} aria-hidden />
      {t(`health.${health}`)}
    </span>
  );
}
