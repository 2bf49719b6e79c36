// What each kind of identity provider is told, as the Connector holds it. The form, its checks and its patch are made from this.
import type { ConnectorConfig, ConnectorDraft, ConnectorType } from "../api/directory";

export type FieldKind = "text" | "secret" | "list" | "flag" | "pem" | "xml" | "extra";

/** A claim that is kept with the user, and what it has to be. */
export interface ExtraClaim {
  field: string;
  type: ExtraType;
}

export const EXTRA_TYPES = ["string", "number", "boolean", "array"] as const;
export type ExtraType = (typeof EXTRA_TYPES)[number];

export type ConnectorValue = string | boolean | readonly ExtraClaim[];

export interface ConnectorField {
  /** Where it is in `spec.config`; a dot leads inside. */
  path: ConnectorFieldName;
  kind: FieldKind;
  required?: boolean;
  /** Addresses are long, and copied from here. */
  wide?: boolean;
  /** Of no use beside this one: then it is neither asked for nor written. */
  unless?: ConnectorFieldName;
  /** No provider works with it. It shows where an object has it, to be taken out. */
  refused?: boolean;
  example?: string;
  /** What a new provider starts with. */
  initial?: string;
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
  "groupsKey",
  "claimExtra",
  "idpMetadata",
  "ssoIssuer",
  "ssoURL",
  "entityIssuer",
  "caData",
  "usernameAttr",
  "emailAttr",
  "nameAttr",
  "groupsAttr",
] as const;
export type ConnectorFieldName = (typeof NAMES)[number];

export const CONNECTOR_FIELDS: Record<ConnectorType, readonly FieldSection[]> = {
  ldap: [
    {
      title: "connection",
      fields: [
        { path: "host", kind: "text", required: true, example: "ldap.example.com:636" },
        { path: "bindDN", kind: "text", example: "cn=acp,dc=example,dc=com" },
        { path: "bindPW", kind: "secret" },
        { path: "rootCAData", kind: "pem", required: true, unless: "insecureNoSSL" },
        { path: "startTLS", kind: "flag", unless: "insecureNoSSL" },
        { path: "insecureNoSSL", kind: "flag" },
        { path: "insecureSkipVerify", kind: "flag", refused: true },
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
        { path: "issuer", kind: "text", required: true, wide: true, example: "https://example.okta.com" },
        { path: "clientID", kind: "text", required: true },
        { path: "clientSecret", kind: "secret", required: true },
        { path: "redirectURI", kind: "text", required: true, wide: true },
        { path: "logoutURL", kind: "text" },
        { path: "scopes", kind: "list", initial: "openid profile email groups" },
        { path: "rootCAData", kind: "pem", required: true },
        { path: "insecureSkipVerify", kind: "flag", refused: true },
      ],
    },
    {
      title: "claims",
      fields: [
        { path: "claimMapping.email", kind: "text", example: "email" },
        { path: "claimMapping.preferred_username", kind: "text", example: "preferred_username" },
        { path: "claimMapping.groups", kind: "text", example: "groups" },
        { path: "claimMapping.phone", kind: "text", example: "phone_number" },
        { path: "groupsKey", kind: "text", unless: "claimMapping.groups" },
        { path: "overrideClaimMapping", kind: "flag" },
        { path: "getUserInfo", kind: "flag" },
        { path: "insecureEnableGroups", kind: "flag" },
        { path: "claimExtra", kind: "extra" },
      ],
    },
  ],
  saml: [
    {
      title: "connection",
      fields: [
        { path: "idpMetadata", kind: "xml" },
        { path: "ssoIssuer", kind: "text", required: true, wide: true, unless: "idpMetadata", example: "https://adfs.example.com/adfs/services/trust" },
        { path: "ssoURL", kind: "text", required: true, wide: true, unless: "idpMetadata", example: "https://adfs.example.com/adfs/ls" },
        { path: "caData", kind: "pem", required: true, unless: "idpMetadata" },
        { path: "entityIssuer", kind: "text", wide: true },
        { path: "redirectURI", kind: "text", required: true, wide: true },
      ],
    },
    {
      title: "claims",
      fields: [
        { path: "usernameAttr", kind: "text", required: true, initial: "name" },
        { path: "emailAttr", kind: "text", required: true, initial: "email" },
        { path: "nameAttr", kind: "text" },
        { path: "groupsAttr", kind: "text", initial: "groups" },
      ],
    },
  ],
};

export type ConnectorValues = Partial<Record<ConnectorFieldName, ConnectorValue>>;

export const fieldsOf = (type: ConnectorType): ConnectorField[] => CONNECTOR_FIELDS[type].flatMap(({ fields }) => fields);

/** Whether the form asks for a field: `before` is what the object had. */
export const isAsked = (field: ConnectorField, values: ConnectorValues, before: ConnectorValues): boolean => !isMoot(field, values) && !(field.refused && !before[field.path]);

const isFilled = (value: ConnectorValue | undefined): boolean => (typeof value === "string" ? value.trim() !== "" : Boolean(value));
const isMoot = ({ unless }: ConnectorField, values: ConnectorValues): boolean => unless !== undefined && isFilled(values[unless]);
/** A group search without a place to search in is none. */
const searchesGroups = (values: ConnectorValues): boolean => isFilled(values["groupSearch.baseDN"]);

function at(config: ConnectorConfig | undefined, path: string): unknown {
  let found: unknown = config;
  for (const part of path.split(".")) found = typeof found === "object" && found !== null ? (found as ConnectorConfig)[part] : undefined;
  return found;
}

/** What the form shows of an object, or of none yet. Secrets are never shown: empty means as it is. */
export function readConfig(type: ConnectorType, config: ConnectorConfig | undefined, redirectURI: string): ConnectorValues {
  const values: ConnectorValues = {};
  for (const { path, kind, initial = "" } of fieldsOf(type)) {
    const found = at(config, path);
    if (kind === "flag") values[path] = found === true;
    else if (kind === "extra") values[path] = extraClaims(found);
    else if (kind === "secret") values[path] = "";
    else if (kind === "pem") values[path] = texts(found).map(fromBase64).join("\n");
    else if (config) values[path] = texts(found).join(" ");
    else values[path] = path === "redirectURI" ? redirectURI : initial;
  }
  return values;
}

const texts = (found: unknown): string[] => [found].flat().filter((each) => typeof each === "string");

function extraClaims(found: unknown): ExtraClaim[] {
  if (!Array.isArray(found)) return [];
  return found.flatMap((entry: unknown) => {
    const field = at(entry as ConnectorConfig, "field");
    const type = at(entry as ConnectorConfig, "type");
    return typeof field === "string" ? [{ field, type: EXTRA_TYPES.find((known) => known === type) ?? "string" }] : [];
  });
}

const BEGIN = "-----BEGIN";

function fromBase64(text: string): string {
  try {
    const decoded = new TextDecoder().decode(Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0)));
    return decoded.includes(BEGIN) ? decoded : text;
  } catch {
    return text;
  }
}

/** The API takes base64 of PEM; people have PEM, with remarks in any language. */
const toBase64 = (text: string): string =>
  text.includes(BEGIN) ? btoa(Array.from(new TextEncoder().encode(`${text}\n`), (byte) => String.fromCharCode(byte)).join("")) : text.replaceAll(/\s+/g, "");

function valueOf(field: ConnectorField, values: ConnectorValues): unknown {
  const { path, kind } = field;
  const value = values[path];
  if (isMoot(field, values) || (path.startsWith("groupSearch.") && !searchesGroups(values))) return undefined;
  if (kind === "flag") return value === true ? true : undefined;
  if (kind === "extra") return namedClaims(value);
  const text = typeof value === "string" ? value.trim() : "";
  if (text === "") return undefined;
  if (kind === "list") return text.split(/[\s,]+/);
  // A password may well begin or end with a space.
  if (kind === "secret") return value;
  return kind === "pem" ? toBase64(text) : text;
}

function namedClaims(value: ConnectorValue | undefined): ExtraClaim[] | undefined {
  const claims = (Array.isArray(value) ? (value as readonly ExtraClaim[]) : []).map(({ field, type }) => ({ field: field.trim(), type })).filter(({ field }) => field !== "");
  return claims.length > 0 ? claims : undefined;
}

function put(config: ConnectorConfig, path: string, value: unknown): void {
  const [head = "", rest] = path.split(".");
  if (rest === undefined) config[head] = value;
  else put((config[head] ??= {}) as ConnectorConfig, rest, value);
}

/** The configuration of a new object. */
export function writeConfig(type: ConnectorType, values: ConnectorValues): ConnectorConfig {
  const config: ConnectorConfig = {};
  for (const field of fieldsOf(type)) {
    const value = valueOf(field, values);
    if (value !== undefined) put(config, field.path, value);
  }
  return config;
}

/** What has changed, as a merge patch: what was emptied is taken away, what the form does not know stays. */
export function patchConfig(type: ConnectorType, before: ConnectorValues, values: ConnectorValues): ConnectorConfig {
  const patch: ConnectorConfig = {};
  for (const field of fieldsOf(type)) {
    const value = valueOf(field, values);
    if (JSON.stringify(value) === JSON.stringify(valueOf(field, before))) continue;
    put(patch, field.path, value ?? (field.kind === "flag" ? false : null));
  }
  if (searchesGroups(before) && !searchesGroups(values)) patch.groupSearch = null;
  return patch;
}

/** What a merge patch makes of a configuration (RFC 7396). */
export function patched(config: ConnectorConfig | undefined, patch: ConnectorConfig): ConnectorConfig {
  const result: ConnectorConfig = { ...config };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = isObject(value) ? patched(isObject(result[name]) ? result[name] : {}, value) : value;
  }
  return result;
}

const isObject = (value: unknown): value is ConnectorConfig => typeof value === "object" && value !== null && !Array.isArray(value);

const ID = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
export const isConnectorId = (id: string): boolean => ID.test(id) && id !== "local";

/** What a new object needs and has not. Of an old one, what it had: the rest is said by a trial. */
export function missing(type: ConnectorType, values: ConnectorValues, before?: ConnectorValues): ConnectorFieldName[] {
  return fieldsOf(type)
    .filter((field) => field.required && !isMoot(field, values) && valueOf(field, values) === undefined && (!before || valueOf(field, before) !== undefined))
    .map(({ path }) => path);
}

export const draftOf = (id: string, name: string, type: ConnectorType, config: ConnectorConfig, schedule: string): ConnectorDraft => ({
  id,
  name: name.trim() || id,
  type,
  spec: { config, ...(type === "ldap" && schedule.trim() ? { sync: { schedule: schedule.trim() } } : {}) },
});
