// The `ac` commands that do what the pages of people and accounts do.

/** One word for a shell. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export const SESSIONS_COMMAND = "ac sessions";
export const endSessionCommand = (id: string): string => `ac sessions end ${quoted(id)}`;
export const createTokenCommand = (description: string, expires: string): string => `ac tokens create ${quoted(description || "DESCRIPTION")} --expires ${expires}`;
export const revokeTokenCommand = (id: string): string => `ac tokens revoke ${quoted(id)}`;

export const USERS_COMMAND = "ac get users";
export const GROUPS_COMMAND = "ac get groups";
export const CREATE_USER_COMMAND = "ac adm users create NAME";
export type UserVerb = "disable" | "enable" | "unlock" | "reset-password";
export const userCommand = (verb: UserVerb, username: string): string => `ac adm users ${verb} ${quoted(username)}`;
export const CONNECTORS_COMMAND = "ac get connectors.dex.coreos.com -n cpaas-system --cluster global";
export const POLICY_COMMAND = "ac get securitypolicies.auth.alauda.io platform -o yaml --cluster global";
