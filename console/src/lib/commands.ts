// The `ac` commands that do what the pages of people, accounts and rights do.

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

export const ROLES_COMMAND = "ac get roletemplates --cluster global";
export const roleCommand = (name: string): string => `ac get roletemplates ${quoted(name)} -o yaml --cluster global`;
export const BINDINGS_COMMAND = "ac get userbindings --cluster global";
export const bindingCommand = (name: string): string => `ac get userbindings ${quoted(name)} -o yaml --cluster global`;
export const PROJECTS_COMMAND = "ac get projects --cluster global";
export const projectCommand = (name: string): string => `ac get projects ${quoted(name)} -o yaml --cluster global`;

interface Asked {
  user?: string;
  verb?: string;
  resource?: string;
  name?: string;
  namespace?: string;
  cluster?: string;
}

function asked({ verb = "VERB", resource = "RESOURCE", name, namespace, cluster }: Asked): string {
  const words = [verb, resource, name].flatMap((word) => (word ? [quoted(word)] : []));
  return [...words, ...(namespace ? [`-n ${quoted(namespace)}`] : []), ...(cluster ? [`--cluster ${quoted(cluster)}`] : [])].join(" ");
}

export const explainCommand = (question: Asked): string => `ac auth explain ${question.user ? `--as ${quoted(question.user)} ` : ""}${asked(question)}`;
export const whoCanCommand = (question: Asked): string => `ac auth who-can ${asked(question)}`;

/** In one cluster: over all of them only the console searches. */
export const searchCommand = ({ kind = "pods", cluster, namespace, label }: { kind?: string; cluster?: string; namespace?: string; label?: string }): string =>
  [`ac get ${quoted(kind.toLowerCase())}`, namespace ? `-n ${quoted(namespace)}` : "-A", ...(label ? [`-l ${quoted(label)}`] : []), `--cluster ${quoted(cluster ?? "global")}`].join(" ");
export const getCommand = ({ kind, resource, group, name, namespace, cluster }: { kind: string; resource?: string; group?: string; name: string; namespace?: string; cluster: string }): string =>
  [`ac get ${quoted(`${resource ?? kind.toLowerCase()}${group ? `.${group}` : ""}`)} ${quoted(name)} -o yaml`, ...(namespace ? [`-n ${quoted(namespace)}`] : []), `--cluster ${quoted(cluster)}`].join(" ");
