// The state of a user or a provider as mark, shape and word: colour is never the only sign.
import { Ban, CircleCheck, CircleX, Clock3, Lock, UserX } from "lucide-react";
import { useTranslation } from "react-i18next";
import { Badge, type Look } from "../ui/badge";
import type { ProviderState, UserState, UserView } from "./model";

export const userStateLooks: Record<UserState, Look> = {
  Normal: { icon: CircleCheck, mark: "text-good", badge: "" },
  Locked: { icon: Lock, mark: "text-warn", badge: "bg-warn-soft text-warn-text" },
  Disabled: { icon: Ban, mark: "text-mute", badge: "bg-mute-soft text-mute-text" },
  Invalid: { icon: UserX, mark: "text-bad", badge: "bg-bad-soft text-bad-text" },
};

const providerStateLooks: Record<ProviderState, Look> = {
  ready: { icon: CircleCheck, mark: "text-good", badge: "" },
  waiting: { icon: Clock3, mark: "text-info", badge: "bg-info-soft text-info-text" },
  failing: { icon: CircleX, mark: "text-bad", badge: "bg-bad-soft text-bad-text" },
  disabled: { icon: Ban, mark: "text-mute", badge: "bg-mute-soft text-mute-text" },
};

export function UserStateBadge({ state }: { state: UserState }) {
  const { t } = useTranslation();
  return <Badge look={userStateLooks[state]} words={t(`userState.${state}`)} />;
}

export function ProviderStateBadge({ state }: { state: ProviderState }) {
  const { t } = useTranslation();
  return <Badge look={providerStateLooks[state]} words={t(`providerState.${state}`)} />;
}

const REASONS = ["Disabled", "OutsideValidity", "Inactive", "UnknownToProvider", "ProviderGone", "ProviderDisabled", "TooManyFailures"] as const;

/** Why a user is not let in, in the reader's words where the platform's are known. */
export function useReason(): (view: UserView) => string | undefined {
  const { t } = useTranslation();
  return ({ reason }) => {
    const known = REASONS.find((each) => each === reason);
    return known ? t(`userReason.${known}`) : reason;
  };
}
