// The security policy, for whoever may read it.
import { queryOptions, useQuery } from "@tanstack/react-query";
import { readPolicy, type SecurityPolicy } from "../api/directory";
import { ApiError } from "../api/status";
import type { PasswordLengths } from "../lib/password";
import { passwordLengths } from "./policy";

/** An object that is not there is no failure: the defaults hold, and saving makes it. */
async function readOrNone(): Promise<SecurityPolicy | null> {
  try {
    return await readPolicy();
  } catch (error) {
    if (error instanceof ApiError && error.code === 404) return null;
    throw error;
  }
}

export const policyQuery = queryOptions({ queryKey: ["security-policy"], queryFn: readOrNone });

/** How long passwords have to be. Not everybody may know: then the server says so when it refuses one. */
export function usePasswordLengths(): PasswordLengths | undefined {
  const { data } = useQuery({ ...policyQuery, retry: false });
  return data === undefined ? undefined : passwordLengths(data ?? undefined);
}
