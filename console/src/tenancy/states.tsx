// The states of projects, roles and bindings, and the words for levels and places.
import { Ban, CircleCheck, CircleX, Clock3, Trash2, TriangleAlert, UserRound, UsersRound } from "lucide-react";
import { useTranslation } from "react-i18next";
import { POD_SECURITY_LEVELS } from "../api/namespaces";
import { Badge, type Look } from "../ui/badge";
import { Chip } from "../ui/values";
import type { Level, ProjectState } from "./keys";
import type { BindingState, Place, RoleState, SubjectView } from "./model";

const good: Look = { icon: CircleCheck, mark: "text-good", badge: "" };
const waiting: Look = { icon: Clock3, mark: "text-info", badge: "bg-info-soft text-info-text" };
const bad: Look = { icon: CircleX, mark: "text-bad", badge: "bg-bad-soft text-bad-text" };
const going: Look = { icon: Trash2, mark: "text-mute", badge: "bg-mute-soft text-mute-text" };

export const projectLooks: Record<ProjectState, Look> = {
  Active: good,
  Pending: waiting,
  Degraded: { icon: TriangleAlert, mark: "text-warn", badge: "bg-warn-soft text-warn-text" },
  Terminating: going,
};
const roleLooks: Record<RoleState, Look> = { Synced: good, Pending: waiting, Failed: bad };
const bindingLooks: Record<BindingState, Look> = { Synced: good, Pending: waiting, Failed: bad, Invalid: { ...bad, icon: Ban }, Terminating: going };

export function ProjectStateBadge({ state }: { state: ProjectState }) {
  const { t } = useTranslation();
  return <Badge look={projectLooks[state]} words={t(`projectState.${state}`)} />;
}

export function RoleStateBadge({ state }: { state: RoleState }) {
  const { t } = useTranslation();
  return <Badge look={roleLooks[state]} words={t(`roleState.${state}`)} />;
}

export function BindingStateBadge({ state }: { state: BindingState }) {
  const { t } = useTranslation();
  return <Badge look={bindingLooks[state]} words={t(`bindingState.${state}`)} />;
}

export function NamespaceBadge({ phase }: { phase: string }) {
  const { t } = useTranslation();
  const known = phase === "Active" || phase === "Terminating" ? phase : undefined;
  return <Badge look={known === "Active" ? good : known === "Terminating" ? going : waiting} words={known ? t(`namespacePhase.${known}`) : phase} />;
}

/** What Pods of a namespace may ask for. */
export function usePodSecurityName(): (level: string | undefined) => string {
  const { t } = useTranslation();
  return (level) => {
    const known = POD_SECURITY_LEVELS.find((each) => each === level);
    return known ? t(`podSecurity.${known}`) : (level ?? t("namespaces.clusterDefault"));
  };
}

export function LevelChip({ level }: { level: Level | undefined }) {
  const { t } = useTranslation();
  return level && <Chip>{t(`level.${level}`)}</Chip>;
}

export function SubjectName({ subject: { kind, name } }: { subject: SubjectView }) {
  const { t } = useTranslation();
  const Icon = kind === "Group" ? UsersRound : UserRound;
  return (
    <span className="inline-flex max-w-full min-w-0 items-center gap-1.5">
      <Icon className="size-4 shrink-0 text-ink-faint" strokeWidth={1.5} aria-hidden />
      <span className="sr-only">{t(`subject.${kind === "Group" ? "Group" : "User"}`)}</span>
      <span className="min-w-0 break-all">{name}</span>
    </span>
  );
}

/** Where a role holds. */
export function usePlaceWords(): (place: Place) => string {
  const { t } = useTranslation();
  return ({ project, cluster, namespace }) =>
    [project && t("place.project", { name: project }), cluster && t("place.cluster", { name: cluster }), namespace && t("place.namespace", { name: namespace })].filter(Boolean).join(t("place.separator"));
}

export function usePlacesWords(): (level: Level | undefined, places: readonly Place[]) => string {
  const { t } = useTranslation();
  const words = usePlaceWords();
  return (level, places) => (places.length > 0 ? places.map(words).join("\n") : level === "platform" ? t("place.everywhere") : t("place.nowhere"));
}
