// Drives a real browser through the console against any hub.
//
//   ACP_URL=https://127.0.0.1:8443 ACP_USER=... ACP_PASSWORD=... npm run e2e
//
// Without ACP_URL it starts the simulation in dev/ on a free port. Screenshots go to
// ACP_SCREENSHOTS (default: test-results/ beside this folder). It reads, and asks
// for refusals; it changes nothing on the hub.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const SHOTS = process.env.ACP_SCREENSHOTS ?? fileURLToPath(new URL("../test-results/", import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const LANGUAGES = ["en", "zh"];
const THEMES = ["light", "dark"];

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function target() {
  if (process.env.ACP_URL) {
    return { url: process.env.ACP_URL, user: process.env.ACP_USER, password: process.env.ACP_PASSWORD, stop() {} };
  }
  const port = await freePort();
  const script = fileURLToPath(new URL("../dev/simulated-gateway.mjs", import.meta.url));
  const child = spawn(process.execPath, [script], { env: { ...process.env, SIMULATED_PORT: String(port) }, stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return { url: `http://127.0.0.1:${port}`, user: "admin@cpaas.io", password: "simulated", stop: () => child.kill() };
}

const hub = await target();
assert(hub.user && hub.password, "set ACP_USER and ACP_PASSWORD");
await mkdir(SHOTS, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

const violations = [];
const complaints = [];

async function newPage(options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 }, locale: "en-US", baseURL: hub.url, ...options });
  await context.exposeFunction("__violation", (text) => violations.push(text));
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      globalThis.__violation(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile ?? ""}:${event.lineNumber} ${event.sample}`);
    });
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => complaints.push(`page error: ${error.message}`));
  page.on("console", (message) => {
    // The browser itself reports refused sign-ins and a network taken away; both are made here on purpose.
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) complaints.push(`console: ${message.text()}`);
  });
  return page;
}

let steps = 0;
async function step(name, run) {
  const started = Date.now();
  await run();
  steps++;
  console.log(`ok ${String(steps).padStart(2)}  ${name} (${Date.now() - started} ms)`);
}

async function settled(page) {
  await page.evaluate(() => document.fonts.ready);
  await page.evaluate(() => Promise.all(document.getAnimations().filter((a) => a.effect?.getComputedTiming().iterations !== Infinity).map((a) => a.finished.catch(() => undefined))));
}

async function shot(page, name) {
  await settled(page);
  await page.screenshot({ path: `${SHOTS}/${name}.png` });
}

async function axe(page, where) {
  await settled(page);
  await page.evaluate(AXE);
  const found = await page.evaluate((values) => globalThis.axe.run(document, { runOnly: { type: "tag", values }, preload: false }), WCAG);
  const text = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join("\n    ")}`);
  assert.deepEqual(text, [], `axe on ${where}`);
}

/** Nothing may be wider than the window. */
async function fits(page, where) {
  const [content, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert(content <= room, `${where} is ${content} px wide in ${room} px`);
}

const user = (page) => page.locator("input[name=username]");
const password = (page) => page.locator("input[name=password]");
const submit = (page) => page.locator("form button[type=submit]");
const rows = (page) => page.locator("[data-cluster-link]");

async function signIn(page) {
  await user(page).fill(hub.user);
  await password(page).fill(hub.password);
  await submit(page).click();
  await rows(page).first().waitFor();
}

const prefer = (page, theme, language) =>
  page.evaluate(([t, l]) => {
    localStorage.setItem("acp.theme", t);
    localStorage.setItem("acp.language", l);
  }, [theme, language]);

try {
  const page = await newPage();

  await step("an unknown visitor is sent to sign-in, and the wanted path is kept", async () => {
    await page.goto("/clusters/global?sort=-nodes");
    await user(page).waitFor();
    assert.equal(new URL(page.url()).pathname, "/sign-in");
    assert.equal(new URL(page.url()).searchParams.get("next"), "/clusters/global?sort=-nodes");
  });

  for (const language of LANGUAGES)
    for (const theme of THEMES)
      await step(`sign-in in ${language}, ${theme}: axe`, async () => {
        await prefer(page, theme, language);
        await page.reload();
        await user(page).waitFor();
        assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), theme);
        assert.equal(await page.evaluate(() => document.documentElement.lang), language === "zh" ? "zh-CN" : "en");
        await axe(page, "sign-in");
        await shot(page, `sign-in-${language}-${theme}`);
      });

  await step("a wrong password is refused in plain words", async () => {
    await prefer(page, "light", "en");
    await page.reload();
    await user(page).fill(hub.user);
    await password(page).fill("certainly-not-this");
    await submit(page).click();
    await page.getByText("The user name or password is not right.").waitFor();
    await axe(page, "wrong password");
    await shot(page, "sign-in-wrong-password");
  });

  await step("a path of another origin is ignored after sign-in", async () => {
    const other = await newPage();
    await other.goto("/sign-in?next=" + encodeURIComponent("/\\evil.example/"));
    await signIn(other);
    assert.equal(new URL(other.url()).origin, new URL(hub.url).origin);
    assert.equal(new URL(other.url()).pathname, "/clusters");
    await other.context().close();
  });

  await step("signing in leads to the wanted page", async () => {
    await signIn(page);
    assert.equal(new URL(page.url()).pathname, "/clusters/global");
    await page.getByRole("dialog").getByText("APIServerHealthy").waitFor();
    await page.keyboard.press("Escape");
    await page.waitForURL((url) => url.pathname === "/clusters");
  });

  await step("no credential can be read by script", async () => {
    const seen = await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]));
    for (const { name, value, httpOnly } of await page.context().cookies()) {
      assert(httpOnly, `${name} is HttpOnly`);
      assert(!seen.includes(value), `${name} is out of reach`);
    }
  });

  await step("the list is live: connected, and changing without a reload", async () => {
    await page.locator("[data-connection=live]").waitFor();
    const beats = () => page.locator("tbody time").evaluateAll((all) => all.map((one) => one.getAttribute("datetime")).join());
    const first = await beats();
    await page.waitForFunction((old) => [...document.querySelectorAll("tbody time")].map((one) => one.getAttribute("datetime")).join() !== old, first, { timeout: 45_000 });
  });

  await step("keyboard: / filters, j and k walk, Enter opens, Esc closes", async () => {
    const all = await rows(page).count();
    await page.keyboard.press("/");
    await page.keyboard.type("global");
    await page.waitForFunction(() => document.querySelectorAll("[data-cluster-link]").length === 1);
    assert.match(page.url(), /q=global/);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    // The rows come back after the filter is gone; keys before that would walk the filtered list.
    await page.waitForFunction((count) => document.querySelectorAll("[data-cluster-link]").length === count, all);
    await page.keyboard.press("j");
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute("data-cluster-link"));
    const first = await focused();
    assert(first, "j reaches the first row");
    if ((await rows(page).count()) > 1) {
      await page.keyboard.press("j");
      assert.notEqual(await focused(), first);
      await page.keyboard.press("k");
      assert.equal(await focused(), first);
    }
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    assert.equal(new URL(page.url()).pathname, `/clusters/${first}`);
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.waitForFunction((name) => document.activeElement?.getAttribute("data-cluster-link") === name, first);
  });

  for (const language of LANGUAGES)
    for (const theme of THEMES)
      await step(`list, drawer and dialogs in ${language}, ${theme}: axe`, async () => {
        await prefer(page, theme, language);
        await page.goto("/clusters");
        await rows(page).first().waitFor();
        await page.locator("[data-connection=live]").waitFor();
        await axe(page, "list");
        await shot(page, `clusters-${language}-${theme}`);
        await rows(page).last().click();
        await page.getByRole("dialog").waitFor();
        await axe(page, "drawer");
        await shot(page, `cluster-${language}-${theme}`);
        await page.keyboard.press("Escape");
        const words = language === "zh" ? ["导入", "注册"] : ["Import", "Register"];
        for (const [index, word] of words.entries()) {
          await page.getByRole("button", { name: word, exact: true }).click();
          await page.getByRole("dialog").waitFor();
          await submit(page).or(page.locator("button[type=submit]")).first().click();
          await axe(page, word);
          await shot(page, `${index === 0 ? "import" : "register"}-${language}-${theme}`);
          await page.keyboard.press("Escape");
          await page.getByRole("dialog").waitFor({ state: "detached" });
        }
      });

  await step("language and theme are switched from the top bar", async () => {
    await prefer(page, "dark", "zh");
    await page.goto("/clusters");
    await page.getByRole("button", { name: "语言" }).click();
    await page.getByRole("menuitemradio", { name: "English" }).click();
    await page.getByRole("heading", { name: "Clusters" }).waitFor();
    await page.getByRole("button", { name: "Theme" }).click();
    await page.getByRole("menuitemradio", { name: "Light" }).click();
    await page.waitForFunction(() => document.documentElement.dataset.theme === "light");
  });

  await step("a kubeconfig that is none is refused beside its field", async () => {
    await page.getByRole("button", { name: "Import", exact: true }).click();
    const dialog = page.getByRole("dialog");
    await dialog.locator("input[name=name]").fill("console-e2e");
    await dialog.locator("textarea[name=kubeconfig]").fill("this is not a kubeconfig");
    await dialog.getByRole("button", { name: "Check connectivity" }).click();
    await dialog.locator("textarea[name=kubeconfig][aria-invalid=true]").waitFor();
    await axe(page, "refused import");
    await shot(page, "import-refused");
    await page.keyboard.press("Escape");
  });

  await step("removal asks for the name", async () => {
    const member = await page.locator("[data-cluster-link]:not([data-cluster-link=global])").first().getAttribute("data-cluster-link");
    if (!member) return console.log("        no member cluster here: left out");
    await page.goto(`/clusters/${member}`);
    await page.getByRole("dialog").getByRole("button", { name: "Remove…" }).click();
    const remove = page.getByRole("button", { name: "Remove cluster" });
    await remove.waitFor();
    assert(await remove.isDisabled());
    await page.locator("#remove-cluster input").fill(member);
    assert(await remove.isEnabled());
    await axe(page, "removal");
    await shot(page, "remove");
    await page.keyboard.press("Escape");
  });

  await step("a lost network is shown, and heals by itself", async () => {
    await page.goto("/clusters");
    await page.locator("[data-connection=live]").waitFor();
    await page.context().setOffline(true);
    await page.locator("[data-connection=reconnecting]").waitFor();
    await page.locator("[data-connection=stale]").waitFor({ timeout: 20_000 });
    assert((await rows(page).count()) > 0, "the rows stay");
    await axe(page, "stale");
    await shot(page, "stale");
    await page.context().setOffline(false);
    await page.locator("[data-connection=live]").waitFor({ timeout: 20_000 });
  });

  await step("360 px: list, drawer, dialog and sign-in fit", async () => {
    const state = await page.context().storageState();
    for (const theme of THEMES) {
      const phone = await newPage({ viewport: { width: 360, height: 740 }, storageState: state, colorScheme: theme, locale: theme === "dark" ? "zh-CN" : "en-US" });
      await phone.goto("/clusters");
      await prefer(phone, theme, theme === "dark" ? "zh" : "en");
      await phone.reload();
      await rows(phone).first().waitFor();
      await fits(phone, "list");
      await axe(phone, "list at 360 px");
      await shot(phone, `phone-clusters-${theme}`);
      await rows(phone).last().click();
      await phone.getByRole("dialog").waitFor();
      await fits(phone, "drawer");
      await axe(phone, "drawer at 360 px");
      await shot(phone, `phone-cluster-${theme}`);
      await phone.context().close();
      const visitor = await newPage({ viewport: { width: 360, height: 740 }, colorScheme: theme });
      await visitor.goto("/");
      await user(visitor).waitFor();
      assert.equal(await visitor.evaluate(() => document.documentElement.dataset.theme), theme, "follows the system");
      await fits(visitor, "sign-in");
      await shot(visitor, `phone-sign-in-${theme}`);
      await visitor.context().close();
    }
  });

  await step("signing out ends the session", async () => {
    await page.getByRole("button", { name: "User menu" }).click();
    await page.getByText(hub.user).waitFor();
    await shot(page, "user-menu");
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await user(page).waitFor();
    await page.goto("/clusters");
    await user(page).waitFor();
  });

  await step("nothing broke the content policy or failed on the page", async () => {
    assert.deepEqual(violations, []);
    assert.deepEqual(complaints, []);
  });
  console.log(`all ${steps} steps passed; screenshots in ${SHOTS}`);
} finally {
  await browser.close();
  hub.stop();
}
