// What the address of a sign-in page holds: where to go afterwards, for whom, and what went wrong at a provider.
import { safePath, SIGN_IN_PATH } from "../lib/safe-path";

/** What a provider's page can lead back with. Other texts in an address are not repeated: anybody can write one. */
export const ADDRESS_ERRORS = [
  "AccessDenied",
  "ProviderUnavailable",
  "ProviderRefused",
  "FlowExpired",
  "NotLinked",
  "UserDisabled",
  "UserInvalid",
  "UserExpired",
  "MissingEmail",
  "TooManyOnline",
] as const;
type AddressError = (typeof ADDRESS_ERRORS)[number] | "unknown";

export interface SignInAddress {
  next: string;
  flow: string | undefined;
  error: AddressError | undefined;
  provider: string | undefined;
}

export function readAddress(search: string): SignInAddress {
  const query = new URLSearchParams(search);
  const error = query.get("error");
  return {
    next: safePath(query.get("next")),
    flow: query.get("flow") ?? undefined,
    error: error === null ? undefined : (ADDRESS_ERRORS.find((known) => known === error) ?? "unknown"),
    provider: query.get("provider") ?? undefined,
  };
}

/** Where a provider sends the browser after signing in: a flow goes on at this page. */
export function nextAfter({ next, flow }: SignInAddress): string {
  return flow === undefined ? next : `${SIGN_IN_PATH}?flow=${encodeURIComponent(flow)}`;
}

export const DEVICE_PATHS: readonly string[] = ["/device", "/dex/device"];
export const SIGNED_OUT_PATH = "/signed-out";
export const VALIDATED_PATH = "/validated";
