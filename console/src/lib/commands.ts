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

const amounts = (of: Record<string, string>): string => quoted(Object.entries(of).map((pair) => pair.join("=")).join(","));
/** For what has no command of its own. */
const applied = (object: object, where: string): string => `ac apply ${where} -f - <<'EOF'\n${JSON.stringify(object)}\nEOF`;

interface NewNamespace {
  project: string;
  cluster: string;
  name: string;
  displayName: string;
  hard: Record<string, string>;
  /** The namespace itself, where it says what no flag can. */
  object?: object | undefined;
  limitRange?: object | undefined;
}

export function createNamespaceCommand({ project, cluster, name, displayName, hard, object, limitRange }: NewNamespace): string {
  const bounded = Object.keys(hard).length > 0;
  const where = `-n ${quoted(name)} --cluster ${quoted(cluster)}`;
  const made = object
    ? [applied(object, `--cluster ${quoted(cluster)}`), ...(bounded ? [`ac create quota default --hard=${amounts(hard)} ${where}`] : [])]
    : [[`ac adm new-project-namespace ${quoted(name)} --project ${quoted(project)} --cluster ${quoted(cluster)}`, ...(bounded ? [`--quota ${amounts(hard)}`] : []), ...flag("--display-name", displayName)].join(" ")];
  return [...made, ...(limitRange ? [applied(limitRange, where)] : [])].join("\n");
}
export const importNamespaceCommand = (cluster: string, name: string, project: string): string => `ac label ns ${quoted(name)} ${quoted(`cpaas.io/project=${project}`)} --cluster ${quoted(cluster)}`;
export const takeOutNamespaceCommand = (cluster: string, name: string): string => `ac label ns ${quoted(name)} cpaas.io/project- --cluster ${quoted(cluster)}`;
export const deleteNamespaceCommand = (cluster: string, name: string): string => `ac delete ns ${quoted(name)} --cluster ${quoted(cluster)}`;

type Words<Name extends string> = Partial<Record<Name, string>>;
const flag = (name: string, value: string | undefined): string[] => (value ? [`${name} ${quoted(value)}`] : []);

type Asked = Words<"user" | "groups" | "verb" | "resource" | "name" | "namespace" | "cluster">;

function asked({ verb = "VERB", resource = "RESOURCE", name, namespace, cluster }: Asked): string {
  // After a slash `ac` takes a name.
  const [kind = "", subresource] = resource.split("/", 2);
  const words = [verb, kind, name].flatMap((word) => (word ? [quoted(word)] : []));
  return [...words, ...flag("--subresource", subresource), ...(namespace ? flag("-n", namespace) : ["-A"]), ...flag("--cluster", cluster)].join(" ");
}

export function explainCommand(question: Asked): string {
  const groups = (question.groups ?? "").split(",").flatMap((group) => flag("--as-group", group.trim()));
  return ["ac auth explain", ...flag("--as", question.user), ...groups, asked(question)].join(" ");
}
export const whoCanCommand = (question: Asked): string => `ac auth who-can ${asked(question)}`;

export const searchCommand = ({ q, kind, cluster, project, namespace, label, image }: Words<"q" | "kind" | "cluster" | "project" | "namespace" | "label" | "image">): string =>
  ["ac search", quoted(q ?? "WORDS"), ...flag("--kind", kind), ...flag("--project", project), ...flag("-l", label), ...flag("--image", image), ...flag("-n", namespace), ...flag("--cluster", cluster)].join(" ");

/** Shows an object as it is in its cluster. */
export function getCommand({ kind, resource, apiVersion = "", name, namespace, cluster }: { kind: string; resource?: string; apiVersion?: string; name: string; namespace?: string; cluster: string }): string {
  const [group] = apiVersion.includes("/") ? apiVersion.split("/") : [];
  return [`ac get ${quoted([resource ?? kind.toLowerCase(), group].filter(Boolean).join("."))} ${quoted(name)} -o yaml`, ...flag("-n", namespace), ...flag("--cluster", cluster)].join(" ");
}
