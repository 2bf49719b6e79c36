// What each kind of identity provider is told, as the Connector holds it. The form, its checks and its patch are made from this.
import type { ConnectorConfig, ConnectorDraft, ConnectorType } from "../api/directory";

export type FieldKind = "text" | "secret" | "list" | "flag" | "pem";

export interface ConnectorField {
  /** Where it is in `spec.config`; a dot leads inside. */
  path: ConnectorFieldName;
  kind: FieldKind;
  required?: boolean;
  example?: string;
  /** What a new provider starts with. */
  initial?: string | boolean;
}

export interface FieldSection {
  title: "connection" | "users" | "groups" | "claims";
  fields: readonly ConnectorField[];
}

const NAMES = [
  "host",
  "bindDN",
  "bindPW",
  "usernamePrompt",
  "rootCAData",
  "insecureNoSSL",
  "startTLS",
  "insecureSkipVerify",
  "userSearch.baseDN",
  "userSearch.filter",
  "userSearch.username",
  "userSearch.idAttr",
  "userSearch.emailAttr",
  "userSearch.nameAttr",
  "groupSearch.baseDN",
  "groupSearch.filter",
  "groupSearch.userAttr",
  "groupSearch.groupAttr",
  "groupSearch.nameAttr",
  "issuer",
  "clientID",
  "clientSecret",
  "redirectURI",
  "logoutURL",
  "scopes",
  "getUserInfo",
  "insecureEnableGroups",
  "overrideClaimMapping",
  "claimMapping.email",
  "claimMapping.preferred_username",
  "claimMapping.groups",
  "claimMapping.phone",
  "ssoURL",
  "entityIssuer",
  "caData",
  "usernameAttr",
  "emailAttr",
  "groupsAttr",
] as const;
export type ConnectorFieldName = (typeof NAMES)[number];

export const CONNECTOR_FIELDS: Record<ConnectorType, readonly FieldSection[]> = {
  ldap: [
    {
      title: "connection",
      fields: [
        { path: "host", kind: "text", required: true, example: "ldap.example.com:636" },
        { path: "bindDN", kind: "text", example: "cn=acp,ou=services,dc=example,dc=com" },
        { path: "bindPW", kind: "secret" },
        { path: "rootCAData", kind: "pem" },
        { path: "startTLS", kind: "flag" },
        { path: "insecureNoSSL", kind: "flag" },
        { path: "insecureSkipVerify", kind: "flag" },
      ],
    },
    {
      title: "users",
      fields: [
        { path: "userSearch.baseDN", kind: "text", required: true, example: "ou=people,dc=example,dc=com" },
        { path: "userSearch.filter", kind: "text", initial: "(objectClass=person)" },
        { path: "userSearch.username", kind: "text", required: true, initial: "uid" },
        { path: "userSearch.idAttr", kind: "text", required: true, initial: "uid" },
        { path: "userSearch.emailAttr", kind: "text", required: true, initial: "mail" },
        { path: "userSearch.nameAttr", kind: "text", initial: "cn" },
        { path: "usernamePrompt", kind: "text" },
      ],
    },
    {
      title: "groups",
      fields: [
        { path: "groupSearch.baseDN", kind: "text", example: "ou=groups,dc=example,dc=com" },
        { path: "groupSearch.filter", kind: "text", initial: "(objectClass=groupOfNames)" },
        { path: "groupSearch.userAttr", kind: "text", initial: "DN" },
        { path: "groupSearch.groupAttr", kind: "text", initial: "member" },
        { path: "groupSearch.nameAttr", kind: "text", initial: "cn" },
      ],
    },
  ],
  oidc: [
    {
      title: "connection",
      fields: [
        { path: "issuer", kind: "text", required: true, example: "https://example.okta.com" },
        { path: "clientID", kind: "text", required: true },
        { path: "clientSecret", kind: "secret", required: true },
        { path: "redirectURI", kind: "text", required: true },
        { path: "logoutURL", kind: "text" },
        { path: "scopes", kind: "list", initial: "openid profile email groups" },
        { path: "insecureSkipVerify", kind: "flag" },
      ],
    },
    {
      title: "claims",
      fields: [
        { path: "claimMapping.email", kind: "text", example: "email" },
        { path: "claimMapping.preferred_username", kind: "text", example: "preferred_username" },
        { path: "claimMapping.groups", kind: "text", example: "groups" },
        { path: "claimMapping.phone", kind: "text", example: "phone_number" },
        { path: "overrideClaimMapping", kind: "flag" },
        { path: "getUserInfo", kind: "flag" },
        { path: "insecureEnableGroups", kind: "flag" },
      ],
    },
  ],
  saml: [
    {
      title: "connection",
      fields: [
        { path: "ssoURL", kind: "text", required: true, example: "https://adfs.example.com/adfs/ls" },
        { path: "entityIssuer", kind: "text" },
        { path: "redirectURI", kind: "text", required: true },
        { path: "caData", kind: "pem", required: true },
      ],
    },
    {
      title: "claims",
      fields: [
        { path: "usernameAttr", kind: "text", required: true, initial: "name" },
        { path: "emailAttr", kind: "text", required: true, initial: "email" },
        { path: "groupsAttr", kind: "text", initial: "groups" },
      ],
    },
  ],
};

export type ConnectorValues = Partial<Record<ConnectorFieldName, string | boolean>>;

export const fieldsOf = (type: ConnectorType): ConnectorField[] => CONNECTOR_FIELDS[type].flatMap(({ fields }) => fields);

function at(config: ConnectorConfig | undefined, path: string): unknown {
  let found: unknown = config;
  for (const part of path.split(".")) found = typeof found === "object" && found !== null ? (found as ConnectorConfig)[part] : undefined;
  return found;
}

/** What the form shows of an object, or of none yet. Secrets are never shown: empty means as it is. */
export function readConfig(type: ConnectorType, config: ConnectorConfig | undefined, redirectURI: string): ConnectorValues {
  const values: ConnectorValues = {};
  for (const { path, kind, initial } of fieldsOf(type)) {
    const found = at(config, path);
    if (kind === "flag") values[path] = found === true;
    else if (kind === "secret") values[path] = "";
    else if (Array.isArray(found)) values[path] = found.join(" ");
    else if (typeof found === "string") values[path] = kind === "pem" ? fromBase64(found) : found;
    else values[path] = config ? "" : path === "redirectURI" ? redirectURI : ((initial as string | undefined) ?? "");
  }
  return values;
}

function fromBase64(text: string): string {
  try {
    const decoded = atob(text);
    return decoded.startsWith("-----BEGIN") ? decoded : text;
  } catch {
    return text;
  }
}

/** The API takes base64 of PEM; people have PEM. */
const toBase64 = (text: string): string => (text.startsWith("-----BEGIN") ? btoa(`${text}\n`) : text.replaceAll(/\s+/g, ""));

function valueOf({ path, kind }: ConnectorField, values: ConnectorValues): unknown {
  const value = values[path];
  if (kind === "flag") return value === true ? true : undefined;
  const text = typeof value === "string" ? value.trim() : "";
  if (text === "") return undefined;
  if (kind === "list") return text.split(/[\s,]+/);
  // A password may well begin or end with a space.
  if (kind === "secret") return value;
  return kind === "pem" ? toBase64(text) : text;
}

function put(config: ConnectorConfig, path: string, value: unknown): void {
  const [head = "", rest] = path.split(".");
  if (rest === undefined) config[head] = value;
  else put((config[head] ??= {}) as ConnectorConfig, rest, value);
}

/** The configuration as a whole, for a new object and for a trial. */
export function writeConfig(type: ConnectorType, values: ConnectorValues): ConnectorConfig {
  const config: ConnectorConfig = {};
  // A group search without a place to search in is none.
  const groups = type !== "ldap" || Boolean(values["groupSearch.baseDN"]);
  for (const field of fieldsOf(type)) {
    const value = valueOf(field, values);
    if (value !== undefined && (groups || !field.path.startsWith("groupSearch."))) put(config, field.path, value);
  }
  return config;
}

/** What has changed, as a merge patch: what was emptied is taken away, what the form does not know stays. */
export function patchConfig(type: ConnectorType, before: ConnectorValues, values: ConnectorValues): ConnectorConfig {
  const patch: ConnectorConfig = {};
  for (const field of fieldsOf(type)) {
    if (before[field.path] === values[field.path]) continue;
    const value = valueOf(field, values);
    if (value !== undefined) put(patch, field.path, value);
    else if (field.kind !== "secret") put(patch, field.path, field.kind === "flag" ? false : null);
  }
  return patch;
}

const ID = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
export const isConnectorId = (id: string): boolean => ID.test(id) && id !== "local";

/** Of a new object, a secret is needed; of an old one, it is there. */
export function missing(type: ConnectorType, values: ConnectorValues, isNew: boolean): ConnectorFieldName[] {
  return fieldsOf(type)
    .filter((field) => field.required && (isNew || field.kind !== "secret") && valueOf(field, values) === undefined)
    .map(({ path }) => path);
}

export const draftOf = (id: string, name: string, type: ConnectorType, values: ConnectorValues, schedule: string): ConnectorDraft => ({
  id,
  name: name.trim() || id,
  type,
  spec: { config: writeConfig(type, values), ...(type === "ldap" && schedule.trim() ? { sync: { schedule: schedule.trim() } } : {}) },
});
