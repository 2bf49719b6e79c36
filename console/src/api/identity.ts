// Who signs in, how, and for whom: the gateway's identity endpoints.
import { request } from "./http";

export type ProviderType = "local" | "ldap" | "oidc" | "saml";

export interface Provider {
  id: string;
  name: string;
  type: ProviderType;
  /** What the provider calls a user's name: "E-mail", "Staff number". */
  usernamePrompt?: string;
}

export interface Session {
  id?: string;
  username: string;
  displayName?: string;
  groups: string[];
  provider?: { id: string; name: string; type: ProviderType };
  expirationTimestamp: string;
  createdTimestamp?: string;
  lastSeenTimestamp?: string;
  /** `console`, `ac`, `api`, or the id of a client. */
  client?: string;
  clientAddress?: string;
  userAgent?: string;
  current?: boolean;
  secondFactor?: boolean;
  admin?: boolean;
  /** After this long without anybody at the page the session ends. */
  idleSeconds?: number;
}

const AUTH = "/auth/v1";
const SESSIONS = `${AUTH}/sessions`;

export async function providers(): Promise<Provider[]> {
  const { items } = await request<{ items?: Provider[] }>("GET", `${AUTH}/providers`, { signingIn: true });
  return items ?? [];
}

/** Where a browser goes to sign in at a provider that has its own page. */
export function providerLogin(id: string, next: string, flow: string | undefined): string {
  const query = new URLSearchParams({ next, ...(flow ? { flow } : {}) });
  return `${AUTH}/providers/${encodeURIComponent(id)}/login?${query}`;
}

export interface Credentials {
  username: string;
  password: string;
  idp?: string;
  code?: string;
}

/** The answer may also hold a bearer token meant for programs. It is dropped here: the cookie is all we need. */
export async function signIn(credentials: Credentials): Promise<Session> {
  const answer = await request<Session & { token?: string }>("POST", SESSIONS, { body: credentials, signingIn: true });
  const { token: _token, ...session } = answer;
  return session;
}

export function currentSession(): Promise<Session> {
  return request("GET", `${SESSIONS}/current`, { signingIn: true });
}

/** Providers that keep a session of their own want the browser to come and end it. */
export function signOut(): Promise<{ logoutURL?: string } | undefined> {
  return request("DELETE", `${SESSIONS}/current`, { signingIn: true });
}

/** A wrong password here is no ended session. */
export function changePassword(body: { username: string; password: string; newPassword: string; code?: string }): Promise<void> {
  return request("POST", `${AUTH}/password`, { body, signingIn: true });
}

export interface Enrolment {
  secret: string;
  uri: string;
}

/** Set-up before there is a session, when the policy asks for a second factor. */
export function enrolAtSignIn(body: { username: string; password: string }): Promise<Enrolment> {
  return request("POST", `${AUTH}/totp/enrol`, { body, signingIn: true });
}

export function confirmAtSignIn(body: { username: string; password: string; code: string }): Promise<void> {
  return request("POST", `${AUTH}/totp/confirm`, { body, signingIn: true });
}

/** A program or a device that asks this person to sign it in. */
export interface Flow {
  client: { id: string; name: string; firstParty: boolean };
  scopes: string[];
  device: boolean;
  userCode?: string;
  /** Of the device that asked. */
  address?: string;
  expirationTimestamp?: string;
}

const flowPath = (flow: string) => `${AUTH}/flows/${encodeURIComponent(flow)}`;

export const readFlow = (flow: string): Promise<Flow> => request("GET", flowPath(flow));

export const decideFlow = (flow: string, verdict: "approve" | "deny"): Promise<{ redirectURL?: string } | undefined> =>
  request("POST", `${flowPath(flow)}/${verdict}`, { body: {} });

export const flowOfDevice = (userCode: string): Promise<{ flow: string }> =>
  request("POST", `${AUTH}/flows/device`, { body: { userCode } });

// ---- one's own account ---------------------------------------------------------------------

const list = async <T>(path: string): Promise<T[]> => (await request<{ items?: T[] }>("GET", path)).items ?? [];
const ofUser = (username: string | undefined) => (username === undefined ? "" : `?${new URLSearchParams({ username })}`);

/** One's own sessions; an administrator may ask for those of others. */
export const readSessions = (username?: string): Promise<Session[]> => list(`${SESSIONS}${ofUser(username)}`);
export const endSession = (id: string): Promise<void> => request("DELETE", `${SESSIONS}/${encodeURIComponent(id)}`);
/** Without a name: all of one's own but the current one. */
export const endSessions = (username?: string): Promise<void> => request("DELETE", `${SESSIONS}${ofUser(username)}`);

export interface AccessToken {
  id: string;
  description: string;
  timestamp?: string;
  expiration?: string;
  scope?: { readOnly?: boolean; clusters?: string[] };
  lastUsed?: string;
}

export interface NewAccessToken {
  description: string;
  expiration: string;
  scope?: string[];
}

const TOKENS = `${AUTH}/accesstoken`;

export const readTokens = (): Promise<AccessToken[]> => list(TOKENS);
export const createToken = (body: NewAccessToken): Promise<AccessToken & { token: string }> => request("POST", TOKENS, { body });
export const revokeToken = (id: string): Promise<void> => request("DELETE", `${TOKENS}/${encodeURIComponent(id)}`);

const TOTP = `${AUTH}/totp`;

export const readSecondFactor = (): Promise<{ enabled: boolean }> => request("GET", TOTP);
export const beginSecondFactor = (): Promise<Enrolment> => request("POST", TOTP, { body: {} });
/** A wrong code or password here is a 401 as well, and no ended session. */
export const confirmSecondFactor = (code: string): Promise<void> => request("PUT", TOTP, { body: { code }, signingIn: true });
export const endSecondFactor = (password?: string): Promise<void> =>
  request("DELETE", TOTP, { body: password === undefined ? {} : { password }, signingIn: true });
