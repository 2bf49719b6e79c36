// The identity half of the SIMULATION: people, sessions, tokens, providers and flows, all invented and kept in memory.
//
// It answers as the gateway's identity API does, as far as the console can tell. Further people to sign in as, all with
// the password "simulated": totp@cpaas.io (second factor; any code but 000000), new@cpaas.io (must change it),
// enrol@cpaas.io (must set up a second factor), disabled@cpaas.io, locked@cpaas.io. The code of the one waiting device
// is WDJB-MJHT.
import { createHash, randomBytes } from "node:crypto";
import { tables } from "./simulated-objects.mjs";

export const USER = "admin@cpaas.io";
export const PASSWORD = "simulated";
const DAY = 86_400;
const MINUTE = 60;
const HOUR = 3_600;
const ago = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();
const nameOf = (email) => createHash("md5").update(email).digest("hex");
const secret = () => randomBytes(24).toString("base64url");
const PROVIDERS = [
  { id: "local", name: "Local", type: "local" },
  { id: "corp", name: "Corp LDAP", type: "ldap", usernamePrompt: "E-mail" },
  { id: "okta", name: "Okta", type: "oidc" },
];

export function identity({ json, status, read, now = Date.now }) {
  // ---- the hub's objects -----------------------------------------------------------------------------------
  const { kinds, put, drop, objects } = tables(
    {
      users: { kind: "User", apiVersion: "auth.alauda.io/v1" },
      groups: { kind: "Group", apiVersion: "auth.alauda.io/v1" },
      securitypolicies: { kind: "SecurityPolicy", apiVersion: "auth.alauda.io/v1" },
      connectors: { kind: "Connector", apiVersion: "dex.coreos.com/v1", namespace: "cpaas-system" },
    },
    { json, status, read },
  );

  function person(email, { username = email, name, provider = PROVIDERS[0], groups = [], admin = false, created = 90 * DAY, seen = 3 * HOUR, state = "Normal", reason, message, secondFactor = false, mustChangePassword = false, lockedUntil } = {}) {
    put("users", nameOf(email), {
      spec: { username, email, account: name ?? username, connector_id: provider.id, connector_name: provider.name, connector_type: provider.type, is_admin: admin, is_disabled: state === "Disabled", state: state === "Disabled" ? "inactive" : "active", valid: state !== "Invalid", groups },
      status: { state, ...(reason ? { reason, message, since: ago(2 * DAY) } : {}), ...(lockedUntil ? { lockedUntil } : {}), ...(seen === undefined ? {} : { lastLoginTime: ago(seen) }), secondFactor, mustChangePassword },
    }, created);
  }
  person(USER, { name: "Platform administrator", admin: true, groups: ["cpaas:platform-admins"], seen: 60 });
  person("totp@cpaas.io", { name: "Two Factor", secondFactor: true });
  person("new@cpaas.io", { name: "New Hire", mustChangePassword: true, seen: undefined, created: HOUR });
  person("enrol@cpaas.io", { name: "Must Enrol" });
  person("disabled@cpaas.io", { name: "On Leave", state: "Disabled", reason: "Disabled", message: "the user is disabled.", seen: 40 * DAY });
  person("locked@cpaas.io", { name: "Forgot Password", state: "Locked", reason: "TooManyFailures", message: "Too many sign-ins failed. From where they came, none is let in for a while.", lockedUntil: ago(-14 * MINUTE) });
  person("wang.fang@corp.example", { username: "wangfang", name: "王芳", provider: PROVIDERS[1], groups: ["dev", "gz-operators"] });
  person("li.wei@corp.example", { username: "liwei", name: "李伟", provider: PROVIDERS[1], groups: ["dev"], state: "Invalid", reason: "UnknownToProvider", message: "the provider does not know the user any more.", seen: 12 * DAY });
  person("grace@example.com", { name: "Grace Hopper", provider: PROVIDERS[2], groups: ["dev"], secondFactor: false });

  put("groups", "platform-operators", { spec: { displayName: "Platform operators", users: [USER, "grace@example.com"] } }, 60 * DAY);
  put("groups", "release-managers", { spec: { displayName: "发布经理", users: [] } }, 9 * DAY);
  put("groups", "corp-dev", { spec: { displayName: "dev", users: ["wang.fang@corp.example", "li.wei@corp.example"], refConnector: "corp" } }, 90 * DAY);

  const condition = (type, value, reason, message, since = 3 * DAY) => ({ type, status: value, reason, message, lastTransitionTime: ago(since) });
  put("connectors", "corp", {
    id: "corp", name: "Corp LDAP", type: "ldap",
    spec: { config: { host: "ldap.corp.example:636", bindDN: "cn=acp,ou=services,dc=corp,dc=example", usernamePrompt: "E-mail", userSearch: { baseDN: "ou=people,dc=corp,dc=example", filter: "(objectClass=person)", username: "mail", idAttr: "entryUUID", emailAttr: "mail", nameAttr: "cn" }, groupSearch: { baseDN: "ou=groups,dc=corp,dc=example", filter: "(objectClass=groupOfNames)", userAttr: "DN", groupAttr: "member", nameAttr: "cn" } }, sync: { schedule: "0 2 * * *" } },
    status: { conditions: [condition("Ready", "True", "Reachable", "The directory answered a bind."), condition("Synced", "True", "Synced", "2 users, 1 group; 1 user is no longer there.", 7 * HOUR)] },
  }, 90 * DAY);
  put("connectors", "okta", {
    id: "okta", name: "Okta", type: "oidc",
    spec: { config: { issuer: "https://example.okta.com", clientID: "0oa1b2c3", rootCAData: "LS0tLS1CRUdJTg==", scopes: ["openid", "profile", "email", "groups"] } },
    status: { conditions: [condition("Ready", "False", "Unreachable", "GET https://example.okta.com/.well-known/openid-configuration: 503 Service Unavailable", 4 * HOUR)] },
  }, 30 * DAY);
  put("connectors", "adfs", { id: "adfs", name: "ADFS", type: "saml", spec: { disabled: true, config: { ssoURL: "https://adfs.corp.example/adfs/ls", entityIssuer: "https://acp.example/dex", usernameAttr: "name", emailAttr: "email", groupsAttr: "groups" } }, status: { conditions: [] } }, 5 * DAY);

  put("securitypolicies", "platform", {
    spec: { password: { minLength: 8, maxLength: 32, history: 3, maxAgeDays: 0 }, lock: { failures: 5, windowHours: 24, minutes: 20 }, inactivityDays: 90, secondFactor: "Optional", sessions: { lifetimeHours: 12, idleMinutes: 0, maxOnlineUsers: 0, singlePerClient: false, endWithTab: false }, accessTokens: { maxDays: 90 } },
  }, 90 * DAY);

  // ---- sessions, tokens, flows -----------------------------------------------------------------------------
  const sessions = new Map();
  const tokens = new Map();
  const flows = new Map();
  let failures = 0;
  const passwords = new Map();
  const userByLogin = (login) => [...kinds.users.objects.values()].find(({ spec }) => spec.email === login || spec.username === login);
  const userOf = (session) => userByLogin(session.username);

  function makeSession(user, client, extra = {}) {
    const id = randomBytes(8).toString("hex");
    const session = { id, username: user.spec.username, client, clientAddress: "10.8.3.21", userAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36", createdTimestamp: ago(0), lastSeenTimestamp: ago(0), expirationTimestamp: ago(-8 * HOUR), secondFactor: user.status.secondFactor === true, ...extra };
    sessions.set(id, session);
    return session;
  }
  const admin = userByLogin(USER);
  makeSession(admin, "ac", { clientAddress: "203.0.113.71", userAgent: "ac/0.1.0 (linux; amd64)", createdTimestamp: ago(9 * DAY), lastSeenTimestamp: ago(40 * MINUTE) });
  makeSession(admin, "grafana", { clientAddress: "10.8.3.21", createdTimestamp: ago(2 * DAY), lastSeenTimestamp: ago(5 * HOUR) });
  makeSession(userByLogin("wangfang"), "console", { clientAddress: "10.9.0.4", lastSeenTimestamp: ago(3 * MINUTE) });
  tokens.set("t1", { id: "t1", username: USER, description: "CI pipeline of payments", timestamp: ago(12 * DAY), expiration: ago(-18 * DAY), scope: { readOnly: true, clusters: ["gz-prod-01", "gz-prod-02"] }, lastUsed: ago(2 * HOUR) });
  tokens.set("t2", { id: "t2", username: USER, description: "Backup script", timestamp: ago(85 * DAY), expiration: ago(-5 * DAY), scope: {} });
  flows.set("simulated-device", { client: { id: "ac", name: "ac", firstParty: true }, scopes: ["openid", "profile", "email", "groups", "offline_access"], device: true, userCode: "WDJB-MJHT", address: "203.0.113.71" });
  flows.set("simulated-consent", { client: { id: "grafana", name: "Grafana", firstParty: false }, scopes: ["openid", "profile", "email", "groups"], device: false, redirect: "http://127.0.0.1:9/callback" });
  flows.set("simulated-ac", { client: { id: "ac", name: "ac", firstParty: true }, scopes: ["openid"], device: false, redirect: "http://127.0.0.1:9/callback" });

  function shown(session, current) {
    const user = userOf(session);
    const provider = PROVIDERS.find(({ id }) => id === user?.spec.connector_id) ?? PROVIDERS[0];
    return { ...session, displayName: user?.spec.account, groups: user?.spec.groups ?? [], provider: { id: provider.id, name: provider.name, type: provider.type }, admin: user?.spec.is_admin === true, current: session === current };
  }
  const cookie = (id) => `__Host-acp-session=${id}; Secure; HttpOnly; SameSite=Strict; Path=/`;
  const invalid = (response, field, message) => status(response, 422, "Invalid", `${field}: ${message}`, [{ field, message }]);

  /** The user whose password this is, or an answer that refuses. */
  function checked(response, { username, password }) {
    if (failures >= 8) return status(response, 429, "Locked", "locked for a while", undefined, { "Retry-After": "5" }), undefined;
    const user = userByLogin(username);
    if (!user || user.spec.connector_type === "oidc" || password !== (passwords.get(user.spec.email) ?? PASSWORD)) {
      failures++;
      setTimeout(() => failures--, 5_000).unref();
      return status(response, 401, "Unauthorized", "wrong user name or password"), undefined;
    }
    return user;
  }
  const wrongCode = (code) => !/^\d{6}$/.test(code ?? "") || code === "000000";
  const setStatus = (user, change) => put("users", user.metadata.name, { ...user, status: { ...user.status, ...change } });

  async function signIn(request, response) {
    const body = await read(request);
    const user = checked(response, body);
    if (!user) return;
    const { state } = user.status;
    if (state === "Locked") return status(response, 429, "Locked", `locked until ${user.status.lockedUntil}`, undefined, { "Retry-After": "840" });
    if (state !== "Normal") return status(response, 403, `User${state}`, `the user is ${state.toLowerCase()}`);
    if (user.status.secondFactor) {
      if (body.code === undefined) return status(response, 401, "SecondFactorRequired", "a code is needed");
      if (wrongCode(body.code)) return status(response, 401, "WrongCode", "the code is wrong");
    }
    if (user.status.mustChangePassword) return status(response, 403, "PasswordChangeRequired", "the password must be changed");
    if (user.spec.email === "enrol@cpaas.io" && !user.status.secondFactor) return status(response, 403, "SecondFactorSetupRequired", "a second factor must be set up");
    const session = makeSession(user, "console");
    setStatus(user, { lastLoginTime: ago(0) });
    json(response, 200, shown(session, session), { "Set-Cookie": cookie(session.id) });
  }

  async function changePassword(request, response) {
    const body = await read(request);
    const user = checked(response, body);
    if (!user) return;
    if (user.status.secondFactor && body.code === undefined) return status(response, 401, "SecondFactorRequired", "a code is needed");
    if (body.newPassword === body.password) return invalid(response, "newPassword", "is one of the last 3 passwords");
    if (!/^(?=.*[a-z])(?=.*\d)(?=.*[~!@#$%^&*() \-_=+?]).{8,32}$/i.test(body.newPassword)) return invalid(response, "newPassword", "does not meet the rules");
    passwords.set(user.spec.email, body.newPassword);
    setStatus(user, { mustChangePassword: false });
    json(response, 204);
  }

  async function enrolAtSignIn(request, response, confirm) {
    const body = await read(request);
    const user = checked(response, body);
    if (!user) return;
    if (!confirm) return json(response, 200, enrolment(user));
    if (wrongCode(body.code)) return status(response, 401, "WrongCode", "the code is wrong");
    setStatus(user, { secondFactor: true });
    json(response, 204);
  }
  const enrolment = (user) => ({ secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", uri: `otpauth://totp/ACP:${encodeURIComponent(user.spec.email)}?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=ACP` });

  /** Everything below /auth/v1. */
  async function auth(request, response, url, current) {
    const { method } = request;
    const path = url.pathname.slice("/auth/v1".length);
    const call = `${method} ${path}`;
    switch (call) {
      case "GET /providers": return json(response, 200, { items: PROVIDERS });
      case "POST /sessions": return signIn(request, response);
      case "POST /password": return changePassword(request, response);
      case "POST /totp/enrol": return enrolAtSignIn(request, response, false);
      case "POST /totp/confirm": return enrolAtSignIn(request, response, true);
    }
    if (/^\/providers\/[^/]+\/login$/.test(path)) {
      response.writeHead(303, { Location: "/sign-in?error=ProviderUnavailable&provider=okta" });
      return response.end();
    }
    if (!current) return status(response, 401, "Unauthorized", "Unauthorized");
    const me = userOf(current);
    const asked = url.searchParams.get("username");
    const parts = path.slice(1).split("/").map(decodeURIComponent);
    switch (call) {
      case "GET /sessions/current": return json(response, 200, shown(current, current));
      case "DELETE /sessions/current":
        sessions.delete(current.id);
        return json(response, 204, undefined, { "Set-Cookie": `${cookie("")}; Max-Age=0` });
      case "GET /sessions":
        return json(response, 200, { items: [...sessions.values()].filter(({ username }) => url.searchParams.get("all") || username === (asked ?? current.username)).map((session) => shown(session, current)) });
      case "DELETE /sessions":
        for (const session of sessions.values()) if (asked ? session.username === asked : session.username === current.username && session !== current) sessions.delete(session.id);
        return json(response, 204);
      case "GET /accesstoken": return json(response, 200, { items: [...tokens.values()].filter(({ username }) => username === (asked ?? current.username)) });
      case "POST /accesstoken": {
        const { description, expiration, scope = [] } = await read(request);
        if (expiration === undefined) return invalid(response, "expiration", "is mandatory");
        const until = typeof expiration === "number" ? now() + expiration * 1000 : Date.parse(expiration);
        if (until > now() + 90.01 * DAY * 1000) return invalid(response, "expiration", "is beyond the policy's maximum of 90 days");
        const id = randomBytes(4).toString("hex");
        const clusters = scope.find((one) => one.startsWith("clusters:"))?.slice(9).split(",");
        const token = { id, username: current.username, description, timestamp: ago(0), expiration: new Date(until).toISOString(), scope: { ...(scope.includes("verbs:read") ? { readOnly: true } : {}), ...(clusters ? { clusters } : {}) } };
        tokens.set(id, token);
        return json(response, 200, { ...token, token: `acp_${secret()}` });
      }
      case "GET /totp": return json(response, 200, { enabled: me.status.secondFactor === true });
      case "POST /totp": return json(response, 200, enrolment(me));
      case "PUT /totp":
        if (wrongCode((await read(request)).code)) return status(response, 401, "WrongCode", "the code is wrong");
        setStatus(me, { secondFactor: true });
        return json(response, 204);
      case "DELETE /totp":
        if ((await read(request)).password !== (passwords.get(me.spec.email) ?? PASSWORD)) return status(response, 401, "Unauthorized", "wrong password");
        setStatus(me, { secondFactor: false });
        return json(response, 204);
      case "POST /flows/device": {
        const { userCode } = await read(request);
        const found = [...flows].find(([, flow]) => flow.userCode === userCode);
        return found ? json(response, 200, { flow: found[0] }) : status(response, 404, "NotFound", "no such code");
      }
      case "POST /users": return createUser(request, response);
      case "POST /connectors/validate": return validate(request, response);
    }
    const [kind, name, verb] = parts;
    if (kind === "sessions" && method === "DELETE" && name) return sessions.delete(name) ? json(response, 204) : status(response, 404, "NotFound", "no such session");
    if (kind === "accesstoken" && method === "DELETE" && name) return tokens.delete(name) ? json(response, 204) : status(response, 404, "NotFound", "no such token");
    if (kind === "flows" && flows.has(name)) {
      const { redirect, ...flow } = flows.get(name);
      if (method === "GET") return json(response, 200, { ...flow, expirationTimestamp: ago(-600) });
      return json(response, 200, redirect ? { redirectURL: `${redirect}?${verb === "approve" ? "code=simulated" : "error=access_denied"}` } : {});
    }
    if (kind === "connectors" && verb === "sync" && kinds.connectors.objects.has(name)) {
      const connector = kinds.connectors.objects.get(name);
      setTimeout(() => put("connectors", name, { ...connector, status: { conditions: [condition("Ready", "True", "Reachable", "The directory answered a bind.", 0), condition("Synced", "True", "Synced", "2 users, 1 group.", 0)] } }), 1_500).unref();
      return json(response, 202, {});
    }
    if (kind === "users" && kinds.users.objects.has(name)) return changeUser(request, response, kinds.users.objects.get(name), verb);
    return status(response, 404, "NotFound", "the server could not find the requested resource");
  }

  async function createUser(request, response) {
    const body = await read(request);
    if (!/.@./.test(body.email ?? "")) return invalid(response, "email", "is no e-mail address");
    if (userByLogin(body.email) || userByLogin(body.username)) return invalid(response, "username", `"${body.username}" exists already`);
    person(body.email, { username: body.username, name: body.displayName, groups: body.groups ?? [], admin: body.is_admin === true, mustChangePassword: true, seen: undefined, created: 0 });
    json(response, 201, { ...userByLogin(body.email), ...(body.password ? {} : { password: `Acp-${secret().slice(0, 12)}1` }) });
  }

  async function changeUser(request, response, user, verb) {
    const name = user.metadata.name;
    const body = await read(request);
    switch (`${request.method} ${verb ?? ""}`) {
      case "PATCH ": return json(response, 200, put("users", name, { ...user, spec: { ...user.spec, ...body.spec } }));
      case "DELETE ": return drop("users", name), json(response, 200, { kind: "Status", status: "Success" });
      case "POST password": return setStatus(user, { mustChangePassword: true }), json(response, 200, { password: body.password ?? `Acp-${secret().slice(0, 12)}1` });
      case "POST disable": return json(response, 200, put("users", name, { ...user, spec: { ...user.spec, is_disabled: true, state: "inactive" }, status: { ...user.status, state: "Disabled", reason: "Disabled", message: "the user is disabled.", since: ago(0) } }));
      case "POST enable": return json(response, 200, put("users", name, { ...user, spec: { ...user.spec, is_disabled: false, state: "active" }, status: { ...user.status, state: "Normal", reason: undefined, message: undefined } }));
      case "POST unlock": return json(response, 200, setStatus(user, { state: "Normal", reason: undefined, message: undefined, lockedUntil: undefined }));
      case "DELETE totp": return setStatus(user, { secondFactor: false }), json(response, 204);
    }
    return status(response, 405, "MethodNotAllowed", "method not allowed");
  }

  async function validate(request, response) {
    const { connector, username, password } = await read(request);
    const step = (name, passed, message) => ({ name, state: passed ? "Passed" : "Failed", message });
    await new Promise((resolve) => setTimeout(resolve, 400));
    if (connector.type !== "ldap") {
      const good = connector.type === "saml" || (connector.spec.config.issuer ?? "").startsWith("https://");
      return json(response, 200, { ok: good, steps: [step("Configuration", true, "every field can be used"), step("Connection", good, good ? "the provider's documents can be used" : "connection refused")], ...(good ? { url: `/auth/v1/providers/${connector.id}/login?validate=true` } : {}) });
    }
    const steps = [step("Configuration", true, "every field can be used"), step("Connection", true, "the directory lets the account in and shows somebody")];
    if (username) steps.push(step("SignIn", password === PASSWORD, password === PASSWORD ? "the account can sign in" : "49 Invalid Credentials"));
    const good = steps.every(({ state }) => state === "Passed");
    json(response, 200, { ok: good, steps, ...(good ? { person: { login: username, email: `${username}@corp.example`, name: "Wang Fang", groups: ["dev", "gz-operators"] } } : {}) });
  }

  return { auth, objects, isAdmin: (session) => userOf(session)?.spec.is_admin === true, current: (id) => sessions.get(id) };
}
