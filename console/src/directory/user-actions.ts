// What can be done to a user; the page of the list owns the dialogs.
import { createContext } from "react";
import type { UserView } from "./model";

export const USER_ACTIONS = ["edit", "enable", "unlock", "disable", "resetPassword", "removeSecondFactor", "endSessions", "remove"] as const;
export type UserAction = (typeof USER_ACTIONS)[number];

export const UserActionContext = createContext<(action: UserAction, view: UserView) => void>(() => undefined);

/** Nobody locks themselves out here: whoever may do this to others can be asked to. */
const NOT_TO_ONESELF: readonly UserAction[] = ["disable", "remove"];

export function actionsFor(view: UserView, self: string): UserAction[] {
  const possible: Record<UserAction, boolean> = {
    edit: true,
    enable: view.state === "Disabled",
    unlock: view.state === "Locked",
    disable: view.state !== "Disabled",
    resetPassword: view.local,
    removeSecondFactor: view.secondFactor,
    endSessions: true,
    remove: true,
  };
  const own = self === view.username || self === view.email;
  return USER_ACTIONS.filter((action) => possible[action] && !(own && NOT_TO_ONESELF.includes(action)));
}
