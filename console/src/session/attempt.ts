// What an attempt to sign in leads to.
import { ApiError } from "../api/status";

export const CLOSED_REASONS = ["UserDisabled", "UserInvalid", "UserExpired", "TooManyOnline"] as const;
export type ClosedReason = (typeof CLOSED_REASONS)[number];

export type Problem =
  | { kind: "wrong" }
  | { kind: "wrong-code" }
  | { kind: "wait"; until: number; locked: boolean }
  | { kind: "closed"; reason: ClosedReason }
  | { kind: "provider"; message: string }
  | { kind: "other"; error: ApiError };

/** What the person must do next, or what is in the way. */
export type Outcome = { next: "code" | "change" | "enrol" } | { problem: Problem };

const WAIT_SECONDS = 5;

export function outcomeOf(caught: unknown, now: number): Outcome {
  const error = caught instanceof ApiError ? caught : ApiError.unreachable();
  switch (error.reason) {
    case "SecondFactorRequired":
      return { next: "code" };
    case "PasswordChangeRequired":
      return { next: "change" };
    case "SecondFactorSetupRequired":
      return { next: "enrol" };
    case "WrongCode":
      return { problem: { kind: "wrong-code" } };
    case "ProviderUnavailable":
      return { problem: { kind: "provider", message: error.message } };
  }
  const reason = CLOSED_REASONS.find((known) => known === error.reason);
  if (reason) return { problem: { kind: "closed", reason } };
  if (error.code === 429) {
    const until = now + (error.retryAfterSeconds ?? WAIT_SECONDS) * 1000;
    return { problem: { kind: "wait", until, locked: error.reason === "Locked" } };
  }
  return { problem: error.code === 401 ? { kind: "wrong" } : { kind: "other", error } };
}

/** What is in the way, where a step can only be done or fail. */
export function problemOf(caught: unknown, now: number): Problem {
  const outcome = outcomeOf(caught, now);
  return "problem" in outcome ? outcome.problem : { kind: "other", error: caught as ApiError };
}
