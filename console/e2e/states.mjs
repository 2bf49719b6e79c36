// Every state a page can be in, made by answers invented inside the browser: what a healthy hub would seldom give.
//
// `fetch` is replaced before the console's own scripts run, so the states are the
// same against any server; the files and the content policy are the server's own.

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;

const ago = (milliseconds) => new Date(Date.now() - milliseconds).toISOString();
const condition = (type, status, reason, message, since = 3 * DAY) => ({ type, status, reason, message, lastTransitionTime: ago(since) });

function cluster(name, { displayName, labels = {}, connection = "tunnel", version = "v1.34.2", nodes = { ready: 3, total: 3 }, heartbeat = 4_000, conditions = {}, ...metadata } = {}) {
  const said = {
    Ready: ["True", "AllChecksPassed", "Connected, healthy and of a supported version."],
    Connected: ["True", "TunnelOpen", "The agent is connected."],
    APIServerHealthy: ["True", "ReadyzOK", "/readyz answered ok."],
    VersionSupported: ["True", "InRange", "The version is within >=1.19.0 <1.35.0"],
    ...conditions,
  };
  return {
    apiVersion: "cluster.x-k8s.io/v1beta1",
    kind: "Cluster",
    metadata: {
      name,
      namespace: "cpaas-system",
      resourceVersion: "5",
      creationTimestamp: ago(41 * DAY),
      labels: { "cpaas.io/cluster-name": name, ...labels },
      annotations: { "fleet.cpaas.io/connection": connection, ...(displayName ? { "cpaas.io/display-name": displayName } : {}) },
      ...metadata,
    },
    spec: connection === "direct" ? { controlPlaneEndpoint: { host: "10.20.4.11", port: 6443 } } : {},
    status: {
      phase: version ? "Provisioned" : "Pending",
      conditions: Object.entries(said).map(([type, [status, reason, message, since]]) => condition(type, status, reason, message, since)),
      ...(version ? { kubernetesVersion: version, nodes, lastHeartbeatTime: ago(heartbeat) } : {}),
    },
  };
}

const silent = "No heartbeat for 40 s; the last known state may no longer hold.";
const fleet = () => [
  cluster("global", { displayName: "Platform hub", connection: "in-process" }),
  cluster("gz-edge-03", {
    displayName: "Guangzhou edge 03",
    version: "v1.32.4",
    nodes: { ready: 4, total: 4 },
    heartbeat: 6 * MINUTE,
    conditions: { Ready: ["Unknown", "HeartbeatLost", silent, 5 * MINUTE], Connected: ["False", "TunnelClosed", "The agent closed the connection: connection reset by peer", 6 * MINUTE], APIServerHealthy: ["Unknown", "HeartbeatLost", silent, 5 * MINUTE] },
  }),
  cluster("gz-prod-01", { displayName: "广州生产一", nodes: { ready: 48, total: 48 }, labels: { "cpaas.io/region": "gz" } }),
  cluster("gz-prod-02", { displayName: "广州生产二", nodes: { ready: 31, total: 32 }, labels: { "cpaas.io/region": "gz" } }),
  cluster("lab-bare-metal", { connection: "direct", version: "v1.31.9" }),
  cluster("sh-payments-prod-with-a-name-of-the-greatest-length-allowed-001", {
    displayName: "Shanghai payments, production, the second of three availability zones",
    nodes: { ready: 1200, total: 1200 },
    conditions: { Ready: ["False", "APIServerUnhealthy", "The API server answers, but /readyz fails.", 12 * MINUTE], APIServerHealthy: ["False", "ReadyzFailed", "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed", 12 * MINUTE] },
  }),
  cluster("old-timer", { version: "v1.18.20", conditions: { VersionSupported: ["False", "OutOfRange", "1.18.20 is outside >=1.19.0 <1.35.0"] } }),
  cluster("warehouse-new", { version: "", conditions: { Ready: ["False", "WaitingForAgent", "No agent has connected yet."], Connected: ["False", "WaitingForAgent", "No agent has connected yet."] } }),
  cluster("leaving", { deletionTimestamp: ago(MINUTE) }),
];

const many = (count) => Array.from({ length: count }, (_, index) => cluster(`fleet-${String(index).padStart(4, "0")}`, { version: `v1.${31 + (index % 4)}.${index % 7}` }));

const script = `<img src=x onerror="alert(1)"><script>alert(2)</script>`;
/** What the worst member could say of itself. Names are the hub's to check, and it does. */
const hostile = () => {
  const object = cluster("hostile", {
    displayName: `${script}\u202Etxet desrever\u202C${"W".repeat(4_000)}`,
    labels: { x: script, ["__proto__"]: "polluted", constructor: "javascript:alert(3)" },
    version: `v1.34.0${script}`,
    conditions: {
      Ready: ["False", `"><svg/onload=alert(4)>`, `{{constructor.constructor('alert(5)')()}} $t(product.name) ${script}${"\n".repeat(200)}${"M".repeat(20_000)}`],
    },
  });
  object.metadata.annotations["cpaas.io/platform-url"] = "javascript:alert(6)";
  object.spec = { controlPlaneEndpoint: { host: "javascript:alert(7)//", port: 6443 } };
  return object;
};

const refusal = (code, reason, message, more = {}) => ({ code, body: { kind: "Status", apiVersion: "v1", status: "Failure", reason, message, code, ...more.body }, headers: more.headers ?? {} });
const forbidden = refusal(403, "Forbidden", 'clusters.cluster.x-k8s.io is forbidden: User "ada" cannot list resource "clusters" in API group "cluster.x-k8s.io" in the namespace "cpaas-system"');
const ok = (body) => ({ code: 200, body });
const ended = refusal(401, "Unauthorized", "Unauthorized");
const session = { code: 200, body: { username: "ada@example.com", groups: ["platform-operators", "network"], expirationTimestamp: ago(-8 * 60 * MINUTE) } };

const names = (page) => page.locator("[data-row-link]");
const button = (page, en, zh) => page.getByRole("button", { name: new RegExp(`^(${en}|${zh})$`) });
const fill = async (page) => {
  await page.locator("input[name=username]").fill("ada@example.com");
  await page.locator("input[name=password]").fill("secret");
  await page.locator("form button[type=submit]").click();
};
const addDialog = async (page, index) => {
  const words = index === 0 ? ["Import", "导入"] : ["Register", "注册"];
  if (await button(page, "Add cluster", "添加集群").isVisible()) {
    await button(page, "Add cluster", "添加集群").click();
    await page.getByRole("menuitem").nth(index).click();
  } else await button(page, ...words).first().click();
  await page.getByRole("dialog").waitFor();
};

const local = { id: "local", name: "Local", type: "local" };
const someProviders = ok({ items: [local, { id: "corp", name: "Corp LDAP", type: "ldap", usernamePrompt: "E-mail" }, { id: "okta", name: "Okta", type: "oidc" }, { id: "adfs", name: "ADFS", type: "saml" }] });
const manyProviders = ok({ items: [local, ...["Guangzhou", "Shanghai", "Berlin office with a long name"].map((name, at) => ({ id: `l${at}`, name, type: "ldap" })), { id: "okta", name: "Okta", type: "oidc" }] });
const PROVIDERS = "GET /auth/v1/providers";
const SIGN_IN = "POST /auth/v1/sessions";
const enrolment = ok({ secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", uri: "otpauth://totp/ACP:ada%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=ACP" });
const flow = { client: { id: "grafana", name: "Grafana", firstParty: false }, scopes: ["openid", "profile", "email", "groups", "offline_access"], device: false };
const ac = { client: { id: "ac", name: "ac command line", firstParty: true }, scopes: ["openid"], device: false };
const device = { ...ac, device: true, userCode: "WDJB-MJHT", address: "203.0.113.71" };
const heading = async (page) => page.getByRole("heading", { level: 1 }).waitFor();
const whenShown = (selector) => async (page) => page.locator(selector).first().waitFor();
const signInThen = (selector) => async (page) => { await fill(page); await page.locator(selector).first().waitFor(); };
const typeCode = async (page) => { await fill(page); await page.locator("input[name=code]").fill("123456"); await page.locator("form button[type=submit]").click(); await page.getByRole("alert").waitFor(); };
const validated = (body) => `/validated#${encodeURIComponent(JSON.stringify(body))}`;

/** Before, beside and after a session. */
const sessionStates = {
  "sign-in-providers": { answers: { session: ended, routes: { [PROVIDERS]: someProviders } }, act: whenShown("a[href^='/auth']") },
  "sign-in-many-providers": { answers: { session: ended, routes: { [PROVIDERS]: manyProviders } }, act: whenShown("main select") },
  "sign-in-redirect-only": { answers: { session: ended, routes: { [PROVIDERS]: ok({ items: [{ id: "okta", name: "Okta", type: "oidc" }] }) } }, act: whenShown("a[href^='/auth']") },
  "sign-in-came-back": { path: "/sign-in?error=MissingEmail&provider=okta", answers: { session: ended, routes: { [PROVIDERS]: someProviders } }, act: whenShown("[role=alert]") },
  "sign-in-locked": { answers: { session: ended, signIn: refusal(429, "Locked", "locked until 10:20", { headers: { "Retry-After": "1145" } }) }, act: signInThen("[role=alert]") },
  "sign-in-disabled": { answers: { session: ended, signIn: refusal(403, "UserDisabled", "the user is disabled") }, act: signInThen("[role=alert]") },
  "sign-in-provider-away": { answers: { session: ended, signIn: refusal(503, "ProviderUnavailable", "Corp LDAP: dial tcp 10.0.0.4:636: i/o timeout"), routes: { [PROVIDERS]: someProviders } }, act: signInThen("[role=alert]") },
  "sign-in-code": { answers: { session: ended, signIn: refusal(401, "SecondFactorRequired", "a code is needed") }, act: signInThen("input[name=code]") },
  "sign-in-code-wrong": { answers: { session: ended, routes: { [SIGN_IN]: [refusal(401, "SecondFactorRequired", ""), refusal(401, "WrongCode", "")] } }, act: typeCode },
  "sign-in-change": { answers: { session: ended, signIn: refusal(403, "PasswordChangeRequired", "") }, act: async (page) => { await fill(page); await page.locator("input[name=newPassword]").fill("abc1"); await page.locator("input[name=newPasswordAgain]").fill("abd"); } },
  "sign-in-enrol": { answers: { session: ended, signIn: refusal(403, "SecondFactorSetupRequired", ""), routes: { "POST /auth/v1/totp/enrol": enrolment } }, act: signInThen("svg[role=img]") },
  "flow-sign-in": { path: "/sign-in?flow=F", answers: { session: ended, routes: { [PROVIDERS]: someProviders } }, act: whenShown("a[href^='/auth']") },
  "flow-continue": { path: "/sign-in?flow=F", answers: { session, routes: { "GET /auth/v1/flows/F": ok(ac) } }, act: heading },
  "flow-consent": { path: "/sign-in?flow=F", answers: { session, routes: { "GET /auth/v1/flows/F": ok(flow) } }, act: heading },
  "flow-hostile": { path: "/sign-in?flow=F", answers: { session, routes: { "GET /auth/v1/flows/F": ok({ ...flow, client: { ...flow.client, name: `<b>Bank</b> ${"W".repeat(120)}` }, scopes: ["openid", "audience:server:client_id:<script>"] }) } }, act: heading },
  "flow-refused-address": { path: "/sign-in?flow=F", answers: { session, routes: { "GET /auth/v1/flows/F": ok(flow), "POST /auth/v1/flows/F/approve": ok({ redirectURL: "javascript:alert(1)" }) } }, act: async (page) => { await page.getByRole("button", { name: /^(Allow|允许)$/ }).click(); await page.getByText(/^(Not followed|未跳转)$/).waitFor(); } },
  "flow-gone": { path: "/sign-in?flow=F", answers: { session, routes: { "GET /auth/v1/flows/F": refusal(404, "NotFound", "") } }, act: heading },
  "flow-failed": { path: "/sign-in?flow=F", answers: { session, routes: { "GET /auth/v1/flows/F": refusal(500, "InternalError", "the store did not answer") } }, act: whenShown("[role=alert]") },
  "device": { path: "/device", answers: { session }, act: heading },
  "device-unknown": { path: "/device?user_code=WDJB-MJHT", answers: { session, routes: { "POST /auth/v1/flows/device": refusal(404, "NotFound", "") } }, act: async (page) => { await page.locator("form button[type=submit]").click(); await page.locator("[aria-invalid=true]").waitFor(); } },
  "device-question": { path: "/device?user_code=WDJB-MJHT", answers: { session, routes: { "POST /auth/v1/flows/device": ok({ flow: "F" }), "GET /auth/v1/flows/F": ok(device) } }, act: async (page) => { await page.locator("form button[type=submit]").click(); await page.locator("[data-user-code]").waitFor(); } },
  "device-done": { path: "/sign-in?flow=F", answers: { session, routes: { "GET /auth/v1/flows/F": ok(device), "POST /auth/v1/flows/F/approve": ok({}) } }, act: async (page) => { await page.getByRole("button", { name: /^(Approve|批准)$/ }).click(); await page.getByText(/^(Signed in|已登录)$/).waitFor(); } },
  "signed-out": { path: "/signed-out", answers: {}, act: heading },
  "signed-out-idle": { path: "/signed-out?reason=idle", answers: {}, act: heading },
  "validated": { path: validated({ ok: true, steps: [{ name: "SignIn", state: "Passed", message: "the account can sign in" }], person: { login: "ada", email: "ada@example.com", name: "Ada Lovelace", groups: ["dev", "ops"] } }), answers: {}, act: heading },
  "validated-failed": { path: validated({ ok: false, steps: [{ name: "SignIn", state: "Failed", message: "the provider says nothing of the person's email" }] }), answers: {}, act: heading },
  "validated-nothing": { path: "/validated", answers: {}, act: heading },
};

const me = { id: "s1", username: "ada@example.com", displayName: "Ada Lovelace", groups: ["platform-operators", "network", "cpaas:platform-admins"], admin: true, provider: { id: "local", name: "Local", type: "local" }, expirationTimestamp: ago(-8 * 60 * MINUTE) };
const mySession = ok(me);
const agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
const mySessions = ok({
  items: [
    { ...me, current: true, client: "console", clientAddress: "10.8.3.21", userAgent: agent, secondFactor: true, lastSeenTimestamp: ago(2_000) },
    { ...me, id: "s2", client: "ac", clientAddress: "203.0.113.71", userAgent: "ac/0.1.0 (linux; amd64)", lastSeenTimestamp: ago(40 * MINUTE) },
    { ...me, id: "s3", client: "grafana", clientAddress: "2001:db8:85a3:8d3:1319:8a2e:370:7348", userAgent: agent.replace("X11; Linux x86_64", "Windows NT 10.0"), lastSeenTimestamp: ago(3 * DAY) },
  ],
});
const myTokens = ok({
  items: [
    { id: "t1", description: "CI pipeline of payments", expiration: ago(-60 * DAY), scope: { readOnly: true, clusters: ["gz-prod-01", "gz-prod-02"] }, lastUsed: ago(2 * 60 * MINUTE) },
    { id: "t2", description: "Backup script", expiration: ago(-3 * DAY), scope: {} },
    { id: "t3", description: "Old dashboard whose description goes on and on because nobody thought it would ever be read by anybody else", expiration: ago(DAY), scope: {}, lastUsed: ago(9 * DAY) },
  ],
});
const account = (routes = {}) => ({ session: mySession, list: fleet, routes: { "GET /auth/v1/sessions": mySessions, "GET /auth/v1/accesstoken": myTokens, "GET /auth/v1/totp": ok({ enabled: true }), ...routes } });
const accountShown = async (page) => { await page.getByText("ac/0.1.0").waitFor(); await page.getByText("Backup script").waitFor(); };
const press = (en, zh) => async (page) => button(page, en, zh).first().click();
const inDialog = (en, zh) => async (page) => { await accountShown(page); await press(en, zh)(page); await page.getByRole("dialog").waitFor(); };
const submitDialog = (page) => page.getByRole("dialog").locator("button[type=submit]").click();

const accountStates = {
  "account": { path: "/account", answers: account(), act: accountShown },
  "account-empty": { path: "/account", answers: account({ "GET /auth/v1/sessions": ok({ items: [mySessions.body.items[0]] }), "GET /auth/v1/accesstoken": ok({ items: [] }), "GET /auth/v1/totp": ok({ enabled: false }) }), act: whenShown("text=/No tokens yet|还没有令牌/") },
  "account-failed": { path: "/account", answers: account({ "GET /auth/v1/accesstoken": refusal(500, "InternalError", "the store did not answer in time") }), act: whenShown("[role=alert]") },
  "account-elsewhere": { path: "/account", answers: { ...account(), session: ok({ ...me, groups: [], provider: { id: "okta", name: "Okta", type: "oidc" } }) }, act: accountShown },
  "account-end-others": { path: "/account", answers: account(), act: inDialog("End all others", "结束其他所有会话") },
  "account-token": { path: "/account", answers: account(), act: async (page) => { await inDialog("Create token", "创建令牌")(page); await page.getByRole("dialog").getByRole("checkbox").nth(1).click(); } },
  "account-token-refused": { path: "/account", answers: account({ "POST /auth/v1/accesstoken": refusal(422, "Invalid", "invalid", { body: { details: { causes: [{ field: "expiration", message: "is beyond the policy's maximum of 90 days" }] } } }) }), act: async (page) => { await inDialog("Create token", "创建令牌")(page); await page.getByRole("radio").nth(3).click(); await page.locator("[name=description]").fill("x"); await page.locator("[name=date]").fill("2099-01-01"); await submitDialog(page); await page.locator("[aria-invalid=true]").waitFor(); } },
  "account-token-once": { path: "/account", answers: account({ "POST /auth/v1/accesstoken": ok({ id: "t9", token: `acp_${"k7Qz".repeat(12)}`, description: "CI pipeline", expiration: ago(-30 * DAY) }) }), act: async (page) => { await inDialog("Create token", "创建令牌")(page); await page.locator("[name=description]").fill("CI pipeline"); await submitDialog(page); await page.getByText("acp_").waitFor(); } },
  "account-revoke": { path: "/account", answers: account(), act: async (page) => { await accountShown(page); await page.getByRole("button", { name: /Backup script/ }).click(); await page.getByRole("dialog").waitFor(); } },
  "account-password": { path: "/account", answers: account(), act: async (page) => { await inDialog("Change password", "修改密码")(page); await submitDialog(page); } },
  "account-second-factor": { path: "/account", answers: account({ "GET /auth/v1/totp": ok({ enabled: false }), "POST /auth/v1/totp": enrolment }), act: async (page) => { await inDialog("Set up", "设置")(page); await page.locator("svg[role=img]").waitFor(); } },
  "account-second-factor-off": { path: "/account", answers: account({ "DELETE /auth/v1/totp": refusal(401, "Unauthorized", "wrong password") }), act: async (page) => { await inDialog("Turn off", "关闭")(page); await page.getByRole("dialog").locator("input[name=password]").fill("x"); await submitDialog(page); await page.locator("[aria-invalid=true]").waitFor(); } },
};

const USERS = "/kubernetes/global/apis/auth.alauda.io/v1/users";
const GROUPS = "/kubernetes/global/apis/auth.alauda.io/v1/groups";
const person = (name, spec = {}, status = {}) => ({
  metadata: { name: `md5-${name}`, resourceVersion: "5", creationTimestamp: ago(90 * DAY) },
  spec: { username: name, email: `${name}@example.com`, connector_id: "local", connector_name: "Local", connector_type: "local", ...spec },
  status: { state: "Normal", lastLoginTime: ago(3 * 60 * MINUTE), ...status },
});
const corp = { connector_id: "corp", connector_name: "Corp LDAP", connector_type: "ldap" };
const people = [
  person("ada", { account: "Ada Lovelace", is_admin: true, groups: ["platform-operators", "network", "cpaas:platform-admins"] }, { secondFactor: true }),
  person("grace.hopper@example.com", { account: "Grace Hopper", connector_id: "okta", connector_name: "Okta", connector_type: "oidc", groups: ["dev"] }),
  person("new.hire", { account: "New Hire" }, { mustChangePassword: true, lastLoginTime: undefined }),
  person("on.leave", { account: "On Leave" }, { state: "Disabled", reason: "Disabled", message: "the user is disabled.", since: ago(20 * DAY) }),
  person("forgetful", { account: "Forgot Password", expired: { begin: ago(60 * DAY), end: ago(-60 * DAY) } }, { state: "Locked", reason: "TooManyFailures", message: "Too many sign-ins failed. From where they came, none is let in for a while.", lockedUntil: ago(-14 * MINUTE), since: ago(6 * MINUTE) }),
  person("wangfang", { account: "王芳", ...corp, groups: ["dev", "gz-operators"] }, { secondFactor: true }),
  person("liwei", { account: "李伟", ...corp, groups: ["dev"] }, { state: "Invalid", reason: "UnknownToProvider", message: "the provider does not know the user any more.", since: ago(4 * DAY) }),
  person("a-user-name-that-is-longer-than-anybody-would-want-to-type-but-exists", { account: "The Longest Name That Was Ever Entered Into This Form By Anybody", groups: ["a-group-with-quite-a-long-name"] }),
];
const teams = [
  { metadata: { name: "platform-operators", resourceVersion: "5", creationTimestamp: ago(60 * DAY) }, spec: { displayName: "Platform operators", users: ["ada@example.com", "grace.hopper@example.com"] } },
  { metadata: { name: "release-managers", resourceVersion: "5", creationTimestamp: ago(9 * DAY) }, spec: { displayName: "发布经理", users: [] } },
  { metadata: { name: "corp-dev", resourceVersion: "5", creationTimestamp: ago(90 * DAY) }, spec: { users: ["wangfang@example.com", "liwei@example.com"], refConnector: "corp" } },
];
const cannot = (kind) => refusal(403, "Forbidden", `${kind}.auth.alauda.io is forbidden: User "ada@example.com" cannot list resource "${kind}" in API group "auth.alauda.io" at the cluster scope`);
const directory = (routes = {}, lists = {}) => ({ session: mySession, list: fleet, lists: { [USERS]: people, [GROUPS]: teams, ...lists }, routes: { "GET /auth/v1/sessions": mySessions, ...routes } });
const userAction = (en, zh) => async (page) => { await page.getByRole("dialog").getByRole("button", { name: new RegExp(`^(${en}|${zh})$`) }).click(); await page.locator("[data-modal]").waitFor(); };
const submitModal = (page) => page.locator("[data-modal] button[type=submit]").click();
const create = async (page) => { await names(page).first().waitFor(); await page.locator("main header button").first().click(); await page.locator("[data-modal]").waitFor(); };
const drawerShown = async (page) => { await page.getByRole("dialog").locator("dl").first().waitFor(); };

const directoryStates = {
  "users": { path: "/users", answers: directory(), act: async (page) => { await names(page).first().waitFor(); await page.locator("[data-connection=live]").waitFor(); } },
  "users-many": { path: "/users?sort=-created", answers: directory({}, { [USERS]: Array.from({ length: 2_000 }, (_, at) => person(`user-${at}`, { account: `User ${at}` })) }), act: async (page) => page.locator("[data-connection=live]").waitFor() },
  "users-filtered": { path: "/users?state=Locked&provider=local", answers: directory(), act: async (page) => names(page).first().waitFor() },
  "users-filtered-out": { path: "/users?q=nothing-like-it", answers: directory(), act: async (page) => page.getByRole("heading", { level: 2 }).waitFor() },
  "users-none": { path: "/users", answers: directory({}, { [USERS]: [] }), act: async (page) => page.getByRole("heading", { level: 2 }).waitFor() },
  "users-loading": { path: "/users", answers: directory({}, { [USERS]: "never" }), act: async (page) => page.locator("[aria-busy]").waitFor() },
  "users-forbidden": { path: "/users", answers: directory({}, { [USERS]: cannot("users") }), act: async (page) => page.getByRole("heading", { level: 2 }).waitFor() },
  "users-failed": { path: "/users", answers: directory({}, { [USERS]: refusal(500, "InternalError", "etcdserver: request timed out") }), act: async (page) => page.getByRole("heading", { level: 2 }).waitFor() },
  "users-stale": { path: "/users", answers: { ...directory(), watch: "breaks" }, act: async (page) => page.locator("[data-connection=stale]").waitFor() },
  "users-menu": { path: "/users", answers: directory(), act: async (page) => { await names(page).first().waitFor(); await page.getByRole("button", { name: /forgetful/ }).click(); await page.getByRole("menu").waitFor(); } },
  "user": { path: "/users/md5-ada", answers: directory(), act: async (page) => { await drawerShown(page); await page.getByText("ac/0.1.0").waitFor(); } },
  "user-locked": { path: "/users/md5-forgetful", answers: directory({ "GET /auth/v1/sessions": ok({ items: [] }) }), act: drawerShown },
  "user-invalid": { path: "/users/md5-liwei", answers: directory({ "GET /auth/v1/sessions": refusal(403, "Forbidden", "you may not read the sessions of others") }), act: async (page) => { await drawerShown(page); await page.getByRole("alert").waitFor(); } },
  "user-missing": { path: "/users/nobody", answers: directory(), act: async (page) => page.getByRole("dialog").getByRole("heading", { level: 2 }).nth(1).waitFor() },
  "user-edit": { path: "/users/md5-forgetful", answers: directory(), act: userAction("Edit…", "编辑…") },
  "user-disable": { path: "/users/md5-wangfang", answers: directory(), act: userAction("Disable…", "禁用…") },
  "user-delete": { path: "/users/md5-liwei", answers: directory(), act: userAction("Delete…", "删除…") },
  "user-password-once": { path: "/users/md5-forgetful", answers: directory({ "POST /auth/v1/users/md5-forgetful/password": ok({ password: "Acp-k7QzP2mN9xRt1" }) }), act: async (page) => { await userAction("Reset password…", "重置密码…")(page); await submitModal(page); await page.getByText("Acp-k7").waitFor(); } },
  "user-create": { path: "/users", answers: directory(), act: create },
  "user-create-missing": { path: "/users", answers: directory(), act: async (page) => { await create(page); await page.locator("[data-modal] [role=radio]").nth(1).click(); await submitModal(page); await page.locator("[aria-invalid=true]").first().waitFor(); } },
  "groups": { path: "/groups", answers: directory(), act: async (page) => { await names(page).first().waitFor(); await page.locator("[data-connection=live]").waitFor(); } },
  "groups-none": { path: "/groups", answers: directory({}, { [GROUPS]: [] }), act: async (page) => page.getByRole("heading", { level: 2 }).waitFor() },
  "groups-forbidden": { path: "/groups", answers: directory({}, { [GROUPS]: cannot("groups") }), act: async (page) => page.getByRole("heading", { level: 2 }).waitFor() },
  "group": { path: "/groups/platform-operators", answers: directory(), act: drawerShown },
  "group-synced": { path: "/groups/corp-dev", answers: directory(), act: drawerShown },
  "group-conflict": { path: "/groups/platform-operators", answers: directory({ [`PATCH ${GROUPS}/platform-operators`]: refusal(409, "Conflict", 'the object has been modified; please apply your changes to the latest version and try again') }), act: async (page) => { await drawerShown(page); await page.getByRole("dialog").locator("li button").first().click(); await page.getByRole("alert").waitFor(); } },
  "group-create": { path: "/groups", answers: directory(), act: async (page) => { await create(page); await submitModal(page); await page.locator("[aria-invalid=true]").waitFor(); } },
  "group-delete": { path: "/groups/platform-operators", answers: directory(), act: userAction("Delete…", "删除…") },
};

const CONNECTORS = "/kubernetes/global/apis/dex.coreos.com/v1/namespaces/cpaas-system/connectors";
const POLICY = "/kubernetes/global/apis/auth.alauda.io/v1/securitypolicies/platform";
const providerObjects = [
  {
    metadata: { name: "corp", namespace: "cpaas-system", resourceVersion: "5", creationTimestamp: ago(90 * DAY) }, id: "corp", name: "Corp LDAP", type: "ldap",
    spec: { config: { host: "ldap.corp.example:636", bindDN: "cn=acp,ou=services,dc=corp,dc=example", userSearch: { baseDN: "ou=people,dc=corp,dc=example", filter: "(objectClass=person)", username: "mail", idAttr: "entryUUID", emailAttr: "mail", nameAttr: "cn" }, groupSearch: { baseDN: "ou=groups,dc=corp,dc=example", filter: "(objectClass=groupOfNames)", userAttr: "DN", groupAttr: "member", nameAttr: "cn" } }, sync: { schedule: "0 2 * * *" } },
    status: { conditions: [condition("Ready", "True", "Reachable", "The directory answered a bind."), condition("Synced", "True", "Synced", "2 users, 1 group; 1 user is no longer there.", 7 * 60 * MINUTE)] },
  },
  {
    metadata: { name: "okta", namespace: "cpaas-system", resourceVersion: "5", creationTimestamp: ago(30 * DAY) }, id: "okta", name: "Okta", type: "oidc",
    spec: { config: { issuer: "https://example.okta.com", clientID: "0oa1b2c3", rootCAData: "LS0tLS1CRUdJTg==", scopes: ["openid", "profile", "email", "groups"] } },
    status: { conditions: [condition("Ready", "False", "Unreachable", "GET https://example.okta.com/.well-known/openid-configuration: 503 Service Unavailable", 4 * 60 * MINUTE)] },
  },
  { metadata: { name: "adfs", namespace: "cpaas-system", resourceVersion: "5", creationTimestamp: ago(5 * DAY) }, id: "adfs", name: "ADFS of the whole corporation and its many subsidiaries", type: "saml", spec: { disabled: true, config: {} }, status: { conditions: [] } },
  { metadata: { name: "branch", namespace: "cpaas-system", resourceVersion: "5", creationTimestamp: ago(MINUTE) }, id: "branch", type: "ldap", spec: { config: {} } },
];
const VALIDATE = "POST /auth/v1/connectors/validate";
const sources = (routes = {}, lists = {}) => directory(routes, { [CONNECTORS]: providerObjects, ...lists });
const tryOut = (selector) => async (page) => { await userAction("Edit…", "编辑…")(page); await page.locator("[name=trialUsername]").fill("wang.fang"); await page.locator("[name=trialPassword]").fill("secret"); await submitModal(page); await page.locator(selector).waitFor(); await page.locator(selector).scrollIntoViewIfNeeded(); };
const policyObject = { metadata: { name: "platform", resourceVersion: "5" }, spec: { secondFactor: "Optional", sessions: { lifetimeHours: 8, idleMinutes: 30, singlePerClient: true } } };
const policies = (answer) => directory({ [`GET ${POLICY}`]: answer, [`PATCH ${POLICY}`]: refusal(403, "Forbidden", 'securitypolicies.auth.alauda.io "platform" is forbidden: User "ada@example.com" cannot patch resource') });

const sourceStates = {
  "providers": { path: "/providers", answers: sources(), act: async (page) => { await names(page).first().waitFor(); await page.locator("[data-connection=live]").waitFor(); } },
  "providers-none": { path: "/providers", answers: sources({}, { [CONNECTORS]: [] }), act: async (page) => page.getByRole("heading", { level: 2 }).waitFor() },
  "providers-forbidden": { path: "/providers", answers: sources({}, { [CONNECTORS]: cannot("connectors") }), act: async (page) => page.getByRole("heading", { level: 2 }).waitFor() },
  "provider": { path: "/providers/corp", answers: sources(), act: drawerShown },
  "provider-failing": { path: "/providers/okta", answers: sources(), act: drawerShown },
  "provider-add": { path: "/providers", answers: sources(), act: create },
  "provider-add-missing": { path: "/providers", answers: sources(), act: async (page) => { await create(page); await page.locator("[data-modal] [role=radio]").nth(1).click(); await submitModal(page); await page.locator("[aria-invalid=true]").first().waitFor(); } },
  "provider-add-saml": { path: "/providers", answers: sources(), act: async (page) => { await create(page); await page.locator("[data-modal] [role=radio]").nth(2).click(); await page.locator("[name=ssoURL]").waitFor(); } },
  "provider-claims": { path: "/providers/okta", answers: sources({}, { [CONNECTORS]: [{ ...providerObjects[1], spec: { config: { ...providerObjects[1].spec.config, insecureSkipVerify: true, groupsKey: "roles", claimExtra: [{ field: "department", type: "string" }, { field: "a-claim-with-quite-a-long-name-of-a-namespace", type: "array" }] } } }] }), act: async (page) => { await userAction("Edit…", "编辑…")(page); await page.locator("[name=claimExtra]").last().scrollIntoViewIfNeeded(); } },
  "provider-works": { path: "/providers/corp", answers: sources({ [VALIDATE]: ok({ ok: true, steps: [{ name: "Configuration", state: "Passed", message: "every field can be used" }, { name: "Connection", state: "Passed", message: "the directory lets the account in and shows somebody" }, { name: "SignIn", state: "Passed", message: "the account can sign in" }], person: { login: "wang.fang", email: "wang.fang@corp.example", name: "王芳", groups: ["dev", "gz-operators"] } }) }), act: tryOut("[data-validation=passed]") },
  "provider-works-not": { path: "/providers/corp", answers: sources({ [VALIDATE]: ok({ ok: false, steps: [{ name: "Configuration", state: "Passed", message: "every field can be used" }, { name: "Connection", state: "Failed", message: "LDAP result 49: Invalid Credentials" }] }) }), act: tryOut("[data-validation=failed]") },
  "provider-real-account": { path: "/providers/okta", answers: sources({ [VALIDATE]: ok({ ok: true, steps: [{ name: "Configuration", state: "Passed", message: "every field can be used" }, { name: "Connection", state: "Passed", message: "the provider's documents can be used" }], url: "/auth/v1/providers/okta/login?validate=true" }) }), act: async (page) => { await userAction("Edit…", "编辑…")(page); await page.locator("[name=redirectURI]").fill("https://acp.example/dex/callback"); await submitModal(page); await page.locator("[data-validation]").waitFor(); await page.locator("[data-modal] a").scrollIntoViewIfNeeded(); } },
  "provider-delete": { path: "/providers/corp", answers: sources(), act: userAction("Delete…", "删除…") },
  "policy": { path: "/security-policy", answers: policies(ok(policyObject)), act: whenShown("form") },
  "policy-none": { path: "/security-policy", answers: policies(refusal(404, "NotFound", "not found")), act: whenShown("form") },
  "policy-forbidden": { path: "/security-policy", answers: policies(refusal(403, "Forbidden", 'securitypolicies.auth.alauda.io "platform" is forbidden: User "ada@example.com" cannot get resource')), act: whenShown("h2") },
  "policy-refused": { path: "/security-policy", answers: policies(ok(policyObject)), act: async (page) => { await page.getByRole("radio").nth(2).click(); await page.locator("form button[type=submit]").click(); await page.getByRole("alert").waitFor(); await page.getByRole("alert").scrollIntoViewIfNeeded(); } },
  "policy-wrong": { path: "/security-policy", answers: policies(ok(policyObject)), act: async (page) => { await page.locator("[name='password.maxLength']").fill("4"); await page.locator("[name='lock.minutes']").fill("soon"); } },
  "idle": { path: "/account", answers: { ...account(), session: ok({ ...me, idleSeconds: 8 }) }, act: whenShown("[role=timer]") },
};

const AUTH = "/kubernetes/global/apis/auth.alauda.io";
const [PROJECTS, BINDINGS, GROUP_BINDINGS, ROLES] = [`${AUTH}/v1/projects`, `${AUTH}/v1/userbindings`, `${AUTH}/v1/groupbindings`, `${AUTH}/v1beta1/roletemplates`];
const projectWork = (done, failed = {}) => ["ProjectNameSpace", "Quota"].map((type) => ({ ...condition(type, Object.keys(failed).length > 0 ? "Unknown" : "True", Object.keys(failed).length > 0 ? "Unreachable" : "Done", Object.keys(failed).length > 0 ? `Not reached: ${Object.keys(failed).join(", ")}.` : ""), projectNameSpaceDetail: { successClusters: Object.fromEntries(done.map((name) => [name, true])), failedClusters: failed } }));
const projectObject = (name, displayName, clusters, status, more = {}) => ({ metadata: { name, resourceVersion: "5", creationTimestamp: ago(30 * DAY), annotations: { ...(displayName ? { "cpaas.io/display-name": displayName } : {}), "cpaas.io/description": "Cards, transfers and settlement." }, ...more }, spec: { clusters: Object.entries(clusters).map(([cluster_, quota]) => ({ name: cluster_, quota })) }, status });
const projectObjects = [
  projectObject("payments", "Payments", { "gz-prod-01": { "requests.cpu": "64", "limits.cpu": "128", "requests.memory": "256Gi", pods: "800", "requests.nvidia.com/gpu": "8" }, "gz-edge-03": {} }, { phase: "Degraded", reason: "Not as wanted in gz-edge-03", clusters: ["gz-edge-03", "gz-prod-01", "gz-prod-02"], conditions: projectWork(["gz-prod-01"], { "gz-edge-03": "the cluster is not reached since 10:14" }) }),
  projectObject("logistics", "物流平台", { "gz-prod-02": {} }, { phase: "Active", clusters: ["gz-prod-02"], conditions: projectWork(["gz-prod-02"]) }),
  projectObject("leaving", undefined, {}, { phase: "Terminating", reason: "Leaving gz-prod-02", clusters: ["gz-prod-02"], conditions: [] }, { deletionTimestamp: ago(MINUTE) }),
  projectObject("a-project-with-a-name-of-the-greatest-length-that-is-allowed-001", "The project of the longest name that anybody has ever given to one", Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`a-cluster-with-a-rather-long-name-${at}`, {}])), { phase: "Pending" }),
];
const bindingObject = (name, kind, subject, roleRef, scope, constraint, status = {}) => ({ metadata: { name, resourceVersion: "5", creationTimestamp: ago(20 * DAY) }, spec: { subjects: [{ kind, name: subject }], roleRef, scope, ...(constraint ? { constraint } : {}) }, status: { phase: "Synced", syncedClusters: ["gz-prod-01"], bindingsCreated: { clusterRoleBindings: 1, roleBindings: 4 }, conditions: [condition("Synced", "True", "Synced", "It is given wherever it says so.")], ...status } });
const bindingObjects = [
  bindingObject("root", "User", "ada@example.com", "platform-admin-system", "platform"),
  bindingObject("payments-admins", "Group", "dev", "project-admin-system", "project", [{ project: "payments" }]),
  bindingObject("wang-dev", "User", "a.person.with.a.long.name@a-department-of-a-large.example.com", "namespace-developer-system", "namespace", [{ project: "payments", cluster: "gz-prod-01", namespace: "payments-api" }]),
  bindingObject("li-logistics", "User", "li.wei@example.com", "project-admin-system", "project", [{ project: "logistics" }], { phase: "Failed", failedClusters: ["gz-edge-03"], failureDetails: { failureReason: "Unreachable", failureMessage: "gz-edge-03 is not reached; it is tried again." }, conditions: [condition("Synced", "False", "Unreachable", "gz-edge-03 is not reached; it is tried again.", 6 * MINUTE)] }),
];
const roleObject = (name, level, en, zh, about) => ({ metadata: { name, resourceVersion: "5", creationTimestamp: ago(200 * DAY), labels: { "auth.cpaas.io/roletemplate.level": level, "auth.cpaas.io/roletemplate.official": "true" }, annotations: { "cpaas.io/display-name": zh, "cpaas.io/display-name.en": en, "cpaas.io/description": about, "cpaas.io/description.en": about } }, status: { phase: "Synced", syncedClusters: ["global", "gz-prod-01"], conditions: [condition("Valid", "True", "Valid", "Its rights can be given.")] } });
const roleObjects = [roleObject("platform-admin-system", "platform", "Platform Administrator", "平台管理员", "Everything, on every cluster."), roleObject("project-admin-system", "project", "Project Administrator", "项目管理员", "The namespaces of a project, their quotas, and who is in them."), roleObject("namespace-developer-system", "namespace", "Namespace Developer", "命名空间开发人员", "Builds, deploys and looks after applications in a namespace.")];
const rules = [{ apiGroups: [""], resources: ["configmaps", "pods", "pods/log", "services"], verbs: ["get", "list", "watch"] }, { apiGroups: ["apps"], resources: ["deployments", "statefulsets"], verbs: ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"] }, { apiGroups: [""], resources: ["pods/exec"], verbs: ["create"], resourceNames: ["only-this-one"] }];
const change = (at) => ({ subject: { kind: "User", name: "ann@example.com" }, cluster: "gz-prod-01", namespace: `payments-${at}`, rules });
const RIGHTS = "POST /auth/v1/rights";
const PREVIEW = "POST /auth/v1/bindings/preview";
const holds = (allowed) => ok({ items: Array.from({ length: 300 }, () => ({ allowed })) });
const NAMESPACES = (name) => `GET /auth/v1/projects/payments/clusters/${name}/namespaces`;
const SEARCH = "GET /acp/v1/resources/search";
const EXPLAIN = "GET /auth/v1/explain";
const namespaceObject = (name, { level, displayName, phase = "Active" } = {}) => ({ metadata: { name, uid: name, resourceVersion: "5", creationTimestamp: ago(9 * DAY), labels: level ? { "pod-security.kubernetes.io/enforce": level } : {}, annotations: displayName ? { "cpaas.io/display-name": displayName } : {} }, status: { phase } });
const LONGEST_NAMESPACE = "payments-with-a-name-of-the-greatest-length-that-is-allowed-001";
const namespaces = ok({ items: [namespaceObject("payments"), namespaceObject("payments-api", { level: "restricted", displayName: "Payments API" }), namespaceObject("payments-jobs"), namespaceObject("payments-old", { level: "privileged", phase: "Terminating" }), namespaceObject(LONGEST_NAMESPACE, { displayName: "支付系统的夜间批处理任务与对账作业" })] });
const MEMBER = "/kubernetes/gz-prod-01/api/v1/namespaces";
const QUOTA_OF = "GET /kubernetes/gz-prod-01/apis/auth.alauda.io/v1/projectquotas/payments";
const quotaOf = (hard, used) => ok({ items: [{ metadata: { name: "default" }, spec: { hard }, status: { hard, used } }] });
const someLeft = { [QUOTA_OF]: ok({ spec: { hard: { "requests.cpu": "64", "limits.cpu": "128", "requests.memory": "256Gi", pods: "800", "requests.nvidia.com/gpu": "8" } }, status: { used: { "requests.cpu": "48500m", "limits.cpu": "120", "requests.memory": "48Gi", pods: "12" } } }) };
const made = { ...someLeft, [`POST ${MEMBER}`]: { code: 201, body: {} }, "POST /kubernetes/gz-prod-01/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": ok({ status: { allowed: true } }) };
const away = refusal(503, "ServiceUnavailable", "gz-edge-03 is not reached");
const tenancy = (routes = {}, lists = {}) =>
  directory(
    {
      [RIGHTS]: holds(true),
      [NAMESPACES("gz-prod-01")]: namespaces,
      [NAMESPACES("gz-edge-03")]: away,
      [NAMESPACES("gz-prod-02")]: ok({ items: [] }),
      [`GET ${MEMBER}`]: ok({ items: ["default", "kube-system", "tools", "legacy-billing"].map((name) => namespaceObject(name)) }),
      [`GET ${MEMBER}/payments-api/resourcequotas`]: quotaOf({ "requests.cpu": "16", "limits.cpu": "32", "requests.memory": "64Gi", pods: "200", "requests.nvidia.com/gpu": "2" }, { "requests.cpu": "15500m", "limits.cpu": "40", "requests.memory": "12Gi", pods: "31", "requests.nvidia.com/gpu": "0" }),
      [`GET ${MEMBER}/payments-jobs/resourcequotas`]: ok({ items: [] }),
      [`GET ${MEMBER}/payments-old/resourcequotas`]: quotaOf({ pods: "10" }, { pods: "0" }),
      [`GET ${MEMBER}/${LONGEST_NAMESPACE}/resourcequotas`]: refusal(403, "Forbidden", 'resourcequotas is forbidden: User "ada@example.com" cannot list resource "resourcequotas" in API group "" in the namespace'),
      [QUOTA_OF]: ok({ status: { used: { "requests.cpu": "70", "limits.cpu": "120", "requests.memory": "48Gi", pods: "12" }, conditions: [condition("Exceeded", "True", "Exceeded", "requests.cpu: 70 is given, 64 is allowed")] } }),
      "GET /kubernetes/gz-edge-03/apis/auth.alauda.io/v1/projectquotas/payments": away,
      [PREVIEW]: ok({ unknownClusters: ["gz-edge-03"], truncated: true, gains: Array.from({ length: 30 }, (_, at) => change(at)), losses: [change(0)] }),
      "GET /kubernetes/global/apis/rbac.authorization.k8s.io/v1/clusterroles": ok({ items: ["cluster", "business-ns", "project-ns"].map((scope) => ({ metadata: { name: `cpaas:project-admin-system:${scope}` }, rules: scope === "cluster" ? [] : rules })) }),
      ...routes,
    },
    { [PROJECTS]: projectObjects, [BINDINGS]: bindingObjects, [GROUP_BINDINGS]: [bindingObject("auditors", "Group", "audit", "platform-admin-system", "platform")], [ROLES]: roleObjects, ...lists },
  );
const rowsShown = async (page) => { await names(page).first().waitFor(); await page.locator("[data-connection=live]").waitFor(); };
const emptyShown = async (page) => page.getByRole("heading", { level: 2 }).waitFor();
const inProject = async (page) => { await page.getByRole("dialog").locator("h4").first().waitFor(); };
const pressed = (en, zh) => async (page) => { await inProject(page); await page.locator("button:not([aria-disabled])").filter({ hasText: new RegExp(`^(${en}|${zh})`) }).first().click(); await page.locator("[data-modal]").waitFor(); };
const showNamespaces = (name) => async (page) => { await inProject(page); await page.getByRole("button", { name: new RegExp(`^(Show namespaces|查看命名空间)\\s*${name}`) }).click(); };
const namespacesShown = async (page) => { await showNamespaces("gz-prod-01")(page); await page.getByText(/^(15\.5 of 16|已使用 15\.5)/).waitFor(); await page.getByText("payments-api", { exact: true }).first().evaluate((each) => each.scrollIntoView()); };
const toCreateNamespace = async (page) => { await pressed("Create namespace", "创建命名空间")(page); await page.locator("[data-modal]").getByText(/(of 64 left|项目上限 64)$/).waitFor(); };
const fillNamespace = async (page) => { for (const [name, value] of Object.entries({ name: "payments-reports", displayName: "Reports", "requests.cpu": "4", "limits.cpu": "8", "requests.memory": "16Gi", pods: "50", "requests.nvidia.com/gpu": "0", "default.cpu": "500m", "default.memory": "512Mi" })) await page.locator(`[data-modal] [name="${name}"]`).fill(value); };
const createNamespace = async (page) => { await toCreateNamespace(page); await fillNamespace(page); await submitModal(page); await page.locator("[data-modal] [role=alert]").waitFor(); };
const ofNamespace = (at) => async (page) => { await namespacesShown(page); await page.getByRole("button", { name: /: payments-api$/ }).click(); if (at === undefined) return page.getByRole("menu").waitFor(); await page.getByRole("menuitem").nth(at).click(); await page.locator("[data-modal]").waitFor(); };
const giveRole = async (page) => { await pressed("Add member", "添加成员")(page); await page.locator("[name=subject]").fill("ann@example.com"); await page.locator("[name=role]").selectOption("project-admin-system"); await submitModal(page); };
const foundObject = (name, more = {}) => ({ cluster: "gz-prod-01", apiVersion: "apps/v1", kind: "Deployment", resource: "deployments", metadata: { namespace: "payments-api", name, creationTimestamp: ago(3 * DAY), labels: { app: name, "app.kubernetes.io/part-of": "payments" } }, images: [`registry.example/payments/${name}:1.4.0`, "registry.example/base/proxy:2.4.1"], ...more });
const searched = ok({ items: [foundObject("ledger"), foundObject("a-deployment-whose-name-is-about-as-long-as-names-of-deployments-get"), foundObject("node-1", { kind: "Node", metadata: { name: "node-1" }, images: [] })], total: 20_341, continue: "next", staleClusters: [{ name: "gz-edge-03", since: ago(6 * MINUTE) }] });
const question = (more) => `/explain?${new URLSearchParams({ user: "ann@example.com", verb: "delete", resource: "deployments.apps", namespace: "payments-api", cluster: "gz-prod-01", ...more })}`;

/** Projects, and who may do what in them. */
const tenancyStates = {
  "projects": { path: "/projects", answers: tenancy(), act: rowsShown },
  "projects-none": { path: "/projects", answers: tenancy({}, { [PROJECTS]: [] }), act: emptyShown },
  "projects-forbidden": { path: "/projects", answers: tenancy({ [RIGHTS]: holds(false), "GET /auth/v1/projects": cannot("projects") }, { [PROJECTS]: cannot("projects") }), act: emptyShown },
  "projects-own": { path: "/projects", answers: tenancy({ [RIGHTS]: holds(false), "GET /auth/v1/projects": ok({ items: [projectObjects[0]] }) }, { [PROJECTS]: cannot("projects") }), act: async (page) => { await names(page).first().waitFor(); await page.locator("main header button[aria-describedby]").focus(); } },
  "project": { path: "/projects/payments", answers: tenancy(), act: async (page) => { await inProject(page); await page.getByText("70 ", { exact: false }).first().waitFor(); } },
  "project-members": { path: "/projects/payments", answers: tenancy({ [RIGHTS]: holds(false) }), act: async (page) => { await inProject(page); await page.getByText("payments-api").first().waitFor(); await page.getByText("payments-api").first().scrollIntoViewIfNeeded(); } },
  "project-long": { path: "/projects/a-project-with-a-name-of-the-greatest-length-that-is-allowed-001", answers: tenancy(), act: inProject },
  "project-create": { path: "/projects", answers: tenancy(), act: async (page) => { await names(page).first().waitFor(); await page.locator("main header button:not([aria-disabled])").first().click(); await page.locator("[data-modal] input[type=checkbox]:enabled").first().click(); await page.locator("[name='requests.cpu']").fill("lots"); await submitModal(page); await page.locator("[aria-invalid=true]").nth(1).waitFor(); } },
  "project-quota": { path: "/projects/payments", answers: tenancy(), act: pressed("Edit quota", "修改配额") },
  "project-add-cluster": { path: "/projects/payments", answers: tenancy(), act: pressed("Add cluster", "添加集群") },
  "project-take-out": { path: "/projects/payments", answers: tenancy(), act: async (page) => { await pressed("Take out", "移出")(page); await page.locator("[data-modal]").getByText("payments-jobs").waitFor(); } },
  "project-delete": { path: "/projects/payments", answers: tenancy(), act: async (page) => { await pressed("Delete…", "删除…")(page); await page.locator("[data-modal]").getByText("payments-jobs").waitFor(); } },
  "namespaces": { path: "/projects/payments", answers: tenancy(), act: namespacesShown },
  "namespaces-away": { path: "/projects/payments", answers: tenancy(), act: async (page) => { await showNamespaces("gz-edge-03")(page); await page.getByRole("button", { name: /^(Retry|重试)$/ }).waitFor(); await page.locator("button[aria-describedby]").filter({ hasText: /^(Create namespace|创建命名空间)/ }).last().focus(); } },
  "namespaces-forbidden": { path: "/projects/payments", answers: tenancy({ [RIGHTS]: holds(false), [QUOTA_OF]: cannot("projectquotas") }), act: ofNamespace() },
  "namespace-create": { path: "/projects/payments", answers: tenancy(someLeft), act: async (page) => { await toCreateNamespace(page); await page.locator("[data-modal] [name=name]").fill("reports"); await page.locator("[name='limits.cpu']").fill("9"); await page.locator("[name='default.cpu']").fill("2"); await page.locator("[name='max.cpu']").fill("1"); await submitModal(page); await page.locator("[aria-invalid=true]").nth(3).waitFor(); } },
  "namespace-create-filled": { path: "/projects/payments", answers: tenancy(someLeft), act: async (page) => { await toCreateNamespace(page); await fillNamespace(page); await page.locator("[name=podSecurity]").selectOption("restricted"); await page.locator("[data-modal] pre").scrollIntoViewIfNeeded(); } },
  "namespace-create-used-up": { path: "/projects/payments", answers: tenancy(), act: async (page) => { await pressed("Create namespace", "创建命名空间")(page); await page.locator("[data-modal] [role=alert]").waitFor(); } },
  "namespace-create-refused": { path: "/projects/payments", answers: tenancy({ ...someLeft, [`POST ${MEMBER}`]: refusal(403, "Forbidden", 'namespaces "payments-reports" is forbidden: ValidatingAdmissionPolicy "cpaas-namespaces" with binding "cpaas-namespaces" denied request: you may not put namespaces into project "payments": that takes create projectnamespaces.auth.alauda.io in the namespace payments, which administrators of the project have') }), act: createNamespace },
  "namespace-create-without-quota": { path: "/projects/payments", answers: tenancy({ ...made, [`POST ${MEMBER}/payments-reports/resourcequotas`]: refusal(403, "Forbidden", 'admission webhook "cpaas-project-quota" denied the request: the quota of project payments in this cluster does not allow it: limits.cpu: 8 more asked for, 4 left (124 of 128 is given to namespaces)'), [`POST ${MEMBER}/payments-reports/limitranges`]: { code: 201, body: {} } }), act: createNamespace },
  "namespace-import": { path: "/projects/payments", answers: tenancy(), act: async (page) => { await pressed("Import", "导入")(page); await page.locator("[name=namespace]").selectOption("legacy-billing"); } },
  "namespace-import-none": { path: "/projects/payments", answers: tenancy({ [`GET ${MEMBER}`]: ok({ items: [namespaceObject("kube-system")] }) }), act: async (page) => { await pressed("Import", "导入")(page); await page.locator("[data-modal] form p").first().waitFor(); } },
  "namespace-take-out": { path: "/projects/payments", answers: tenancy(), act: ofNamespace(0) },
  "namespace-delete": { path: "/projects/payments", answers: tenancy({ [SEARCH]: ok({ total: 412, counts: [["", "secrets", 14], ["apps", "deployments", 6], ["", "pods", 31], ["", "persistentvolumeclaims", 3]].map(([group, resource, count]) => ({ group, resource, count })) }) }), act: async (page) => { await ofNamespace(1)(page); await page.getByText("persistentvolumeclaims").waitFor(); } },
  "project-add-member": { path: "/projects/payments", answers: tenancy(), act: async (page) => { await giveRole(page); await page.locator("[data-changes]").waitFor(); } },
  "project-add-member-refused": { path: "/projects/payments", answers: tenancy({ [PREVIEW]: refusal(403, "Forbidden", 'userbindings.auth.alauda.io is forbidden: User "ada@example.com" may give only what is held: create pods/exec in namespace payments-api') }), act: async (page) => { await giveRole(page); await page.getByRole("alert").waitFor(); } },
  "bindings": { path: "/bindings", answers: tenancy(), act: rowsShown },
  "bindings-filtered-out": { path: "/bindings?project=logistics&level=namespace", answers: tenancy(), act: emptyShown },
  "bindings-menu": { path: "/bindings", answers: tenancy({ [RIGHTS]: holds(false) }), act: async (page) => { await rowsShown(page); await page.getByRole("button", { name: /li.wei/ }).click(); await page.getByRole("menu").waitFor(); } },
  "binding": { path: "/bindings/li-logistics", answers: tenancy(), act: drawerShown },
  "binding-create": { path: "/bindings", answers: tenancy(), act: async (page) => { await rowsShown(page); await page.locator("main header button:not([aria-disabled])").first().click(); await submitModal(page); await page.locator("[aria-invalid=true]").first().waitFor(); } },
  "binding-delete": { path: "/bindings/wang-dev", answers: tenancy(), act: async (page) => { await drawerShown(page); await page.locator("button:not([aria-disabled])").filter({ hasText: /^(Take away…|收回…)$/ }).click(); await page.locator("[data-changes]").waitFor(); } },
  "roles": { path: "/roles", answers: tenancy(), act: rowsShown },
  "role": { path: "/roles/project-admin-system", answers: tenancy(), act: inProject },
  "role-rules": { path: "/roles/project-admin-system", answers: tenancy(), act: async (page) => { await inProject(page); await page.getByRole("dialog").getByRole("radio").last().click(); await page.locator("table").last().scrollIntoViewIfNeeded(); } },
  "explain": { path: "/explain", answers: tenancy(), act: whenShown("form") },
  "explain-yes": { path: question(), answers: tenancy({ [EXPLAIN]: ok({ allowed: true, grants: [{ userBinding: "payments-admins", roleTemplate: "project-admin-system", subject: { kind: "Group", name: "dev" }, native: { kind: "RoleBinding", namespace: "payments-api", name: "cpaas:payments-admins:business-ns" }, role: { kind: "ClusterRole", name: "cpaas:project-admin-system:business-ns" }, rule: rules[1] }] }) }), act: whenShown("[data-verdict]") },
  "explain-no": { path: question(), answers: tenancy({ [EXPLAIN]: ok({ allowed: false, missing: { rule: { apiGroups: ["apps"], resources: ["deployments"], verbs: ["delete"] }, templates: [{ roleTemplate: "namespace-developer-system", scope: "namespace" }], grantors: [{ subject: { kind: "User", name: "ada@example.com" }, roleTemplates: ["namespace-developer-system"], because: { userBinding: "root", roleTemplate: "platform-admin-system" } }, { subject: { kind: "Group", name: "dev" }, roleTemplates: ["namespace-developer-system"], because: { userBinding: "payments-admins", roleTemplate: "project-admin-system" } }] } }) }), act: whenShown("[data-verdict]") },
  "explain-refused": { path: question(), answers: tenancy({ [EXPLAIN]: refusal(404, "NotFound", "there is no such user, or you may not see what they hold there") }), act: whenShown("[role=alert]") },
  "explain-who": { path: question({ who: "true" }), answers: tenancy({ "GET /auth/v1/who-can": ok({ users: [{ name: "ada@example.com" }], groups: [{ name: "dev" }, { name: "cpaas:platform-admins" }], serviceAccounts: [] }) }), act: whenShown("[data-holders]") },
  "search": { path: "/search", answers: tenancy({ [SEARCH]: searched }), act: async (page) => names(page).first().waitFor() },
  "search-none": { path: "/search?q=nothing-like-it", answers: tenancy({ [SEARCH]: ok({ items: [], total: 0 }) }), act: emptyShown },
  "search-failed": { path: "/search", answers: tenancy({ [SEARCH]: refusal(503, "ServiceUnavailable", "the index is being built") }), act: emptyShown },
  "search-object": { path: "/search", answers: tenancy({ [SEARCH]: searched }), act: async (page) => { await names(page).first().click(); await page.getByRole("dialog").waitFor(); } },
};

/**
 * `answers` by method and path (see `stub`); `path` is what is opened; `act` leads from there to the state,
 * and ends when it shows.
 */
export const states = {
  ...sessionStates,
  ...accountStates,
  ...directoryStates,
  ...sourceStates,
  ...tenancyStates,
  "sign-in": { answers: { session: ended } },
  "sign-in-missing": { answers: { session: ended }, act: async (page) => page.locator("form button[type=submit]").click() },
  "sign-in-wrong": { answers: { session: ended, signIn: refusal(401, "Unauthorized", "wrong user name or password") }, act: async (page) => { await fill(page); await page.getByRole("alert").waitFor(); } },
  "sign-in-throttled": { answers: { session: ended, signIn: refusal(429, "TooManyRequests", "too many attempts", { headers: { "Retry-After": "30" } }) }, act: async (page) => { await fill(page); await page.getByRole("alert").waitFor(); } },
  "sign-in-unreachable": { answers: { session: ended, signIn: "unreachable" }, act: async (page) => { await fill(page); await page.getByRole("alert").waitFor(); } },
  "sign-in-failed": { answers: { session: ended, signIn: refusal(500, "InternalError", "the hub's store did not answer in time") }, act: async (page) => { await fill(page); await page.getByRole("alert").waitFor(); } },
  "session-ended": { path: "/clusters/gz-prod-01?sort=-nodes", answers: { session, list: ended }, act: async (page) => page.locator("input[name=username]").waitFor() },
  "hub-unreachable": { answers: { session: "unreachable" }, act: async (page) => page.getByRole("heading").waitFor() },
  "not-found": { path: "/nowhere", answers: { session, list: fleet }, act: async (page) => page.getByRole("heading").waitFor() },
  "list": { path: "/clusters", answers: { session, list: fleet }, act: async (page) => page.locator("[data-connection=live]").waitFor() },
  "list-filtered": { path: "/clusters?q=gz-&health=healthy", answers: { session, list: fleet }, act: async (page) => names(page).first().waitFor() },
  "list-filtered-out": { path: "/clusters?q=nothing-like-it", answers: { session, list: fleet }, act: async (page) => page.getByRole("heading", { level: 2 }).waitFor() },
  "list-sorted": { path: "/clusters?sort=-nodes", answers: { session, list: fleet }, act: async (page) => names(page).first().waitFor() },
  "list-many": { path: "/clusters", answers: { session, list: () => many(500) }, act: async (page) => page.locator("[data-connection=live]").waitFor() },
  "list-empty": { path: "/clusters", answers: { session, list: [] }, act: async (page) => page.getByRole("heading", { level: 2 }).waitFor() },
  "list-loading": { path: "/clusters", answers: { session, list: "never" }, act: async (page) => page.locator("[aria-busy]").waitFor() },
  "list-slow": { path: "/clusters", answers: { session, list: "never" }, act: async (page) => page.getByText(/still waiting|仍在等待/i).waitFor() },
  "list-forbidden": { path: "/clusters", answers: { session, list: forbidden }, act: async (page) => page.getByRole("heading", { level: 2 }).waitFor() },
  "list-watch-forbidden": { path: "/clusters", answers: { session, list: fleet, watch: { ...forbidden, body: { ...forbidden.body, message: forbidden.body.message.replace("list", "watch") } } }, act: async (page) => names(page).first().waitFor() },
  "list-failed": { path: "/clusters", answers: { session, list: { ...refusal(503, "ServiceUnavailable", "the hub's API server is starting"), headers: { "X-Request-Id": "6f3c1c0e-3a34-4c0e-9a3c-1f4f0f0a6b1e" } } }, act: async (page) => page.getByRole("heading", { level: 2 }).waitFor() },
  "list-unreachable": { path: "/clusters", answers: { session, list: "unreachable" }, act: async (page) => page.getByRole("heading", { level: 2 }).waitFor() },
  "list-reconnecting": { path: "/clusters", answers: { session, list: fleet, watch: "unreachable" }, act: async (page) => page.locator("[data-connection=reconnecting]").waitFor() },
  "list-stale": { path: "/clusters", answers: { session, list: fleet, watch: "breaks" }, act: async (page) => page.locator("[data-connection=stale]").waitFor() },
  "cluster": { path: "/clusters/gz-prod-01", answers: { session, list: fleet }, act: async (page) => page.getByRole("dialog").getByText("APIServerHealthy").waitFor() },
  "cluster-lost": { path: "/clusters/gz-edge-03", answers: { session, list: fleet }, act: async (page) => page.getByRole("dialog").getByText("APIServerHealthy").waitFor() },
  "cluster-long": { path: "/clusters/sh-payments-prod-with-a-name-of-the-greatest-length-allowed-001", answers: { session, list: fleet }, act: async (page) => page.getByRole("dialog").getByText("APIServerHealthy").waitFor() },
  "cluster-missing": { path: "/clusters/nowhere", answers: { session, list: fleet }, act: async (page) => page.getByRole("dialog").getByRole("heading", { level: 2 }).nth(1).waitFor() },
  "cluster-forbidden": { path: "/clusters/gz-prod-01", answers: { session, list: forbidden }, act: async (page) => page.getByRole("dialog").waitFor() },
  "hostile": { path: "/clusters/hostile", answers: { session, list: () => [...fleet(), hostile()] }, act: async (page) => page.getByRole("dialog").getByText("APIServerHealthy").waitFor() },
  "hostile-list": { path: "/clusters?sort=-health", answers: { session, list: () => [hostile(), ...fleet()] }, act: async (page) => names(page).first().waitFor() },
  "import": { path: "/clusters", answers: { session, list: fleet }, act: async (page) => { await names(page).first().waitFor(); await addDialog(page, 0); } },
  "import-token-missing": { path: "/clusters", answers: { session, list: fleet }, act: async (page) => { await names(page).first().waitFor(); await addDialog(page, 0); await page.getByRole("radio").nth(1).click(); await page.getByRole("dialog").locator("button[type=submit]").click(); } },
  "import-reachable": {
    path: "/clusters",
    answers: { session, list: fleet, check: { code: 200, body: { serverReachable: true, version: "v1.33.5", nodes: 5 } } },
    act: async (page) => { await names(page).first().waitFor(); await addDialog(page, 0); await page.locator("input[name=name]").fill("edge"); await page.locator("textarea").fill("kind: Config"); await page.getByRole("dialog").locator("button[type=submit]").click(); await page.getByText("v1.33.5").waitFor(); },
  },
  "import-refused": {
    path: "/clusters",
    answers: { session, list: fleet, check: refusal(422, "Invalid", "refused", { body: { details: { causes: [{ field: "kubeconfig.users[0].user.exec", message: "exec plugins run programs on the hub and are refused; use a token or a client certificate" }] } } }) },
    act: async (page) => { await names(page).first().waitFor(); await addDialog(page, 0); await page.locator("input[name=name]").fill("edge"); await page.locator("textarea").fill("kind: Config"); await page.getByRole("dialog").locator("button[type=submit]").click(); await page.locator("textarea[aria-invalid=true]").waitFor(); },
  },
  "register": { path: "/clusters", answers: { session, list: fleet }, act: async (page) => { await names(page).first().waitFor(); await addDialog(page, 1); await page.getByRole("dialog").locator("button[type=submit]").click(); } },
  "register-waiting": {
    path: "/clusters",
    answers: { session, list: fleet, register: { code: 201, body: { name: "edge", token: "t", expirationTimestamp: ago(-DAY), command: `acp agent join https://hub.example:8443 --cluster edge --token ${"k7".repeat(22)} --ca-hash sha256:${"5a1c".repeat(16)}`, manifest: "apiVersion: v1\nkind: Namespace\n" } } },
    act: async (page) => { await names(page).first().waitFor(); await addDialog(page, 1); await page.locator("input[name=name]").fill("edge"); await page.getByRole("dialog").locator("button[type=submit]").click(); await page.locator("[data-progress]").waitFor(); },
  },
  "remove": { path: "/clusters/lab-bare-metal", answers: { session, list: fleet }, act: async (page) => { await button(page, "Remove…", "移除…").click(); await page.locator("#remove-cluster").waitFor(); } },
  "remove-refused": {
    path: "/clusters/lab-bare-metal",
    answers: { session, list: fleet, remove: refusal(403, "Forbidden", 'clusters.cluster.x-k8s.io "lab-bare-metal" is forbidden: User "ada" cannot delete resource "clusters" in API group "cluster.x-k8s.io" in the namespace "cpaas-system"') },
    act: async (page) => { await button(page, "Remove…", "移除…").click(); await page.locator("#remove-cluster input:not([type=checkbox])").fill("lab-bare-metal"); await page.locator("[form=remove-cluster]").click(); await page.getByRole("alert").waitFor(); },
  },
  "user-menu": { path: "/clusters", answers: { session, list: fleet }, act: async (page) => { await names(page).first().waitFor(); await button(page, "User menu", "用户菜单").click(); await page.getByRole("menu").waitFor(); } },
  "row-menu": { path: "/clusters", answers: { session, list: fleet }, act: async (page) => { await names(page).first().waitFor(); await page.getByRole("button", { name: /lab-bare-metal/ }).click(); await page.getByRole("menu").waitFor(); } },
  "shortcuts": { path: "/clusters", answers: { session, list: fleet }, act: async (page) => { await names(page).first().waitFor(); await page.keyboard.press("?"); await page.getByRole("dialog").waitFor(); } },
  "focus": { path: "/clusters", answers: { session, list: fleet }, act: async (page) => { await names(page).first().waitFor(); await page.keyboard.press("j"); await page.keyboard.press("j"); } },
};

/** Runs in the page, before anything else does. */
function stub({ answers, clusters }) {
  const respond = (answer) => {
    if (answer === "never") return new Promise(() => undefined);
    if (answer === undefined || answer === "unreachable") return Promise.reject(new TypeError("Failed to fetch"));
    return Promise.resolve(new Response(answer.code === 204 ? null : JSON.stringify(answer.body), { status: answer.code, headers: answer.headers ?? {} }));
  };
  let watches = 0;
  globalThis.__requests = 0;
  globalThis.fetch = (input, init = {}) => {
    globalThis.__requests++;
    const url = new URL(String(input), location.href);
    const method = init.method ?? "GET";
    const told = answers.routes?.[`${method} ${url.pathname}`];
    if (told) return respond(Array.isArray(told) ? (told.length > 1 ? told.shift() : told[0]) : told);
    if (url.pathname === "/auth/v1/providers") return respond({ code: 200, body: { items: [{ id: "local", name: "Local", type: "local" }] } });
    if (url.pathname === "/auth/v1/sessions") return respond(answers.signIn);
    if (url.pathname === "/auth/v1/sessions/current") return respond(answers.session);
    if (url.pathname.endsWith("/imports")) return respond(answers.check);
    if (url.pathname.endsWith("/registrations")) return respond(answers.register);
    if (url.pathname.endsWith("/removals")) return respond(answers.remove);
    const list = answers.lists?.[url.pathname] ?? (url.pathname.startsWith(clusters) ? answers.list : undefined);
    if (list === undefined) return Promise.reject(new TypeError(`not stubbed: ${method} ${url.pathname}`));
    if (!url.searchParams.has("watch")) {
      if (!Array.isArray(list)) return respond(list);
      return respond({ code: 200, body: { metadata: { resourceVersion: "5" }, items: list } });
    }
    if (answers.watch === "breaks" && watches++ > 0) return respond("unreachable");
    if (answers.watch && answers.watch !== "breaks") return respond(answers.watch);
    const body = new ReadableStream({
      start(controller) {
        globalThis.__sendEvent = (type, object) => controller.enqueue(new TextEncoder().encode(`${JSON.stringify({ type, object })}\n`));
        if (answers.watch === "breaks") setTimeout(() => controller.error(new TypeError("network error")), 500);
        init.signal?.addEventListener("abort", () => controller.error(init.signal.reason));
      },
    });
    return Promise.resolve(new Response(body));
  };
}

const CLUSTERS = "/kubernetes/global/apis/cluster.x-k8s.io/v1beta1/namespaces/cpaas-system/clusters";

/** Opens a page in a state. The page should be fresh: the answers stay with its context. */
export async function show(page, name) {
  const { path = "/", answers, act } = states[name];
  const list = typeof answers.list === "function" ? answers.list() : answers.list;
  await page.addInitScript(stub, { answers: { ...answers, list }, clusters: CLUSTERS });
  await page.goto(path);
  await page.locator("#root > *").first().waitFor();
  await act?.(page);
}

/** Sends a watch event about the object of that name, and waits for it to be drawn. */
export async function sendEvent(page, type, name) {
  const object = [...fleet(), hostile()].find(({ metadata }) => metadata.name === name);
  object.metadata.resourceVersion = "6";
  object.status.lastHeartbeatTime = new Date().toISOString();
  await page.evaluate(([kind, changed]) => globalThis.__sendEvent(kind, changed), [type, object]);
  await page.locator(`time[datetime="${object.status.lastHeartbeatTime}"]`).first().waitFor({ state: "attached" });
}
