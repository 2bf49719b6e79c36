// Drives a real browser through the console against any hub.
//
//   ACP_URL=https://127.0.0.1:8443 ACP_USER=... ACP_PASSWORD=... npm run e2e
//
// Without ACP_URL it starts the simulation in dev/ on a free port. Screenshots go to
// ACP_SCREENSHOTS (default: test-results/ beside this folder). It reads, and asks
// for refusals; it changes nothing on the hub.
import assert from "node:assert/strict";
import { axe, conclude, fits, LANGUAGES, launch, newPage, shot, step, THEMES } from "./browser.mjs";
import { simulation } from "./simulation.mjs";

const hub = process.env.ACP_URL
  ? { url: process.env.ACP_URL, user: process.env.ACP_USER, password: process.env.ACP_PASSWORD, stop() {} }
  : await simulation();
assert(hub.user && hub.password, "set ACP_USER and ACP_PASSWORD");
const browser = await launch();
const visit = (options = {}) => newPage(browser, { baseURL: hub.url, ...options });

const user = (page) => page.locator("input[name=username]");
const password = (page) => page.locator("input[name=password]");
const submit = (page) => page.locator("form button[type=submit]");
const rows = (page) => page.locator("[data-row-link]");

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
  const page = await visit();

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
    const other = await visit();
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
    // Where nothing is new, a heartbeat is written once in a minute.
    await page.waitForFunction((old) => [...document.querySelectorAll("tbody time")].map((one) => one.getAttribute("datetime")).join() !== old, first, { timeout: 75_000 });
  });

  await step("keyboard: / filters, j and k walk, Enter opens, Esc closes", async () => {
    const all = await rows(page).count();
    await page.keyboard.press("/");
    await page.keyboard.type("global");
    await page.waitForFunction(() => document.querySelectorAll("[data-row-link]").length === 1);
    assert.match(page.url(), /q=global/);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    // The rows come back after the filter is gone; keys before that would walk the filtered list.
    await page.waitForFunction((count) => document.querySelectorAll("[data-row-link]").length === count, all);
    await page.keyboard.press("j");
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute("data-row-link"));
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
    await page.waitForFunction((name) => document.activeElement?.getAttribute("data-row-link") === name, first);
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
    const member = await page.locator("[data-row-link]:not([data-row-link=global])").first().getAttribute("data-row-link");
    if (!member) return console.log("        no member cluster here: left out");
    await page.goto(`/clusters/${member}`);
    await page.getByRole("dialog").getByRole("button", { name: "Remove…" }).click();
    const remove = page.getByRole("button", { name: "Remove cluster" });
    await remove.waitFor();
    assert(await remove.isDisabled());
    await page.locator("#remove-cluster input:not([type=checkbox])").fill(member);
    assert(await remove.isEnabled());
    await axe(page, "removal");
    await shot(page, "remove");
    await page.keyboard.press("Escape");
  });

  // They are looked at as they are: who may not see them is told so, and that is looked at, too.
  const pages = ["/account", "/users", "/groups", "/providers", "/security-policy"];
  for (const path of pages)
    await step(`${path}: axe in both languages and themes, and at 360 px`, async () => {
      for (const [language, theme] of [["en", "light"], ["zh", "dark"]]) {
        await prefer(page, theme, language);
        await page.goto(path);
        await page.getByRole("heading", { level: 1 }).waitFor();
        await page.waitForFunction(() => !document.querySelector("[aria-busy=true]"));
        await axe(page, path);
        await shot(page, `${path.slice(1)}-${language}-${theme}`);
        await page.setViewportSize({ width: 360, height: 740 });
        await fits(page, `${path} at 360 px`);
        await axe(page, `${path} at 360 px`);
        await page.setViewportSize({ width: 1440, height: 900 });
      }
      await prefer(page, "light", "en");
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
      const phone = await visit({ viewport: { width: 360, height: 740 }, storageState: state, colorScheme: theme, locale: theme === "dark" ? "zh-CN" : "en-US" });
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
      const visitor = await visit({ viewport: { width: 360, height: 740 }, colorScheme: theme });
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

  await step("with the keyboard alone: sign in, skip to the content, open a cluster, and back", async () => {
    const one = await visit();
    await one.goto("/");
    await user(one).waitFor();
    await one.keyboard.type(hub.user);
    await one.keyboard.press("Tab");
    await one.keyboard.type(hub.password);
    await one.keyboard.press("Enter");
    await rows(one).first().waitFor();
    await one.keyboard.press("Tab");
    assert.equal(await one.evaluate(() => document.activeElement?.getAttribute("href")), "#content", "the first stop skips the navigation");
    await one.keyboard.press("Enter");
    assert.equal(await one.evaluate(() => document.activeElement?.id), "content");
    await one.keyboard.press("j");
    await one.keyboard.press("j");
    const name = await one.evaluate(() => document.activeElement?.getAttribute("data-row-link"));
    await one.keyboard.press("Enter");
    const drawer = one.getByRole("dialog", { name });
    await drawer.waitFor();
    await one.waitForFunction(() => document.activeElement?.getAttribute("role") === "dialog");
    await one.keyboard.press("Tab");
    assert(await drawer.evaluate((element) => element.contains(document.activeElement)), "Tab goes on inside the drawer");
    await one.keyboard.press("Escape");
    await drawer.waitFor({ state: "detached" });
    await one.waitForFunction((wanted) => document.activeElement?.getAttribute("data-row-link") === wanted, name);
    await one.context().close();
  });

  if (!process.env.ACP_URL) {
    const person = async (name) => {
      const one = await visit();
      await one.goto("/sign-in");
      await user(one).fill(name);
      await password(one).fill(hub.password);
      await submit(one).click();
      return one;
    };
    const code = async (one, digits) => {
      await one.locator("input[name=code]").fill(digits);
      await submit(one).click();
    };

    await step("simulation: a second factor, wrong and right", async () => {
      const one = await person("totp@cpaas.io");
      await code(one, "000000");
      await one.getByRole("alert").waitFor();
      await code(one, "123456");
      await rows(one).first().waitFor();
      await one.context().close();
    });

    await step("simulation: a password that must be changed, and a second factor that must be set up", async () => {
      const one = await person("new@cpaas.io");
      await one.locator("input[name=newPassword]").fill("Acp-2026!");
      await one.locator("input[name=newPasswordAgain]").fill("Acp-2026!");
      await submit(one).click();
      await rows(one).first().waitFor();
      await one.context().close();
      const other = await person("enrol@cpaas.io");
      await other.locator("svg[role=img]").waitFor();
      await code(other, "123456");
      await other.getByText("The second factor is set up.").waitFor();
      await code(other, "654321");
      await rows(other).first().waitFor();
      await other.context().close();
    });

    await step("simulation: who is locked out or disabled is told so", async () => {
      for (const name of ["locked@cpaas.io", "disabled@cpaas.io"]) {
        const one = await person(name);
        await one.getByRole("alert").waitFor();
        await one.context().close();
      }
    });

    await step("simulation: a device is connected after its code was shown again", async () => {
      const one = await visit();
      await one.goto("/device?user_code=WDJB-MJHT");
      await user(one).fill(hub.user);
      await password(one).fill(hub.password);
      await submit(one).click();
      await one.locator("input[name=userCode]").waitFor();
      await submit(one).click();
      await one.locator("[data-user-code]").waitFor();
      await axe(one, "device");
      await one.getByRole("button", { name: "Approve" }).click();
      await one.getByRole("heading", { name: "Signed in" }).waitFor();
      await one.context().close();
    });

    await step("simulation: a token is made, shown once, and revoked", async () => {
      const one = await person(hub.user);
      await rows(one).first().waitFor();
      await one.goto("/account");
      await one.getByRole("button", { name: "Create token" }).click();
      await one.locator("[name=description]").fill("e2e");
      await one.getByRole("dialog").locator("button[type=submit]").click();
      await one.getByRole("dialog").getByText(/^acp_/).waitFor();
      await one.getByRole("button", { name: "Done" }).click();
      assert(!(await one.content()).includes("acp_"));
      await one.getByRole("button", { name: "Revoke: e2e" }).click();
      await one.getByRole("dialog").locator("button[type=submit]").click();
      await one.getByRole("button", { name: "Revoke: e2e" }).waitFor({ state: "detached" });
      await one.context().close();
    });

    await step("simulation: a user is disabled, and the list follows", async () => {
      const one = await person(hub.user);
      await rows(one).first().waitFor();
      await one.goto("/users?q=grace");
      await rows(one).first().click();
      await one.getByRole("dialog").getByRole("button", { name: "Disable…" }).click();
      await one.locator("[name=reason]").fill("e2e");
      await one.locator("[data-modal] button[type=submit]").click();
      await one.getByRole("dialog").getByText("Disabled by an administrator.").waitFor();
      await one.context().close();
    });

    await step("simulation: a namespace of a project is made with what is left of its quota, imported, taken out and deleted", async () => {
      const one = await person(hub.user);
      await rows(one).first().waitFor();
      await one.goto("/projects/payments");
      const detail = one.getByRole("dialog", { name: "Payments" });
      const modal = one.locator("[data-modal]");
      const gone = () => modal.waitFor({ state: "detached" });
      const act = async (name, item) => {
        await detail.getByRole("button", { name: `More actions: ${name}` }).click();
        await one.getByRole("menuitem", { name: item }).click();
      };
      await detail.getByRole("button", { name: /^Create namespace\s*gz-prod-01/ }).click();
      await modal.getByText("32 of 64 left").waitFor();
      for (const [name, value] of Object.entries({ name: "payments-reports", "requests.cpu": "40", "limits.cpu": "8", "requests.memory": "16Gi", pods: "50", "requests.nvidia.com/gpu": "0" })) await modal.locator(`[name="${name}"]`).fill(value);
      await modal.locator("button[type=submit]").click();
      await modal.getByText("No more than 32 is left of the project's.").waitFor();
      await modal.locator("[name='requests.cpu']").fill("4");
      await modal.locator("button[type=submit]").click();
      await gone();
      await detail.getByText("payments-reports").waitFor();
      await detail.getByRole("button", { name: /^Import\s*gz-prod-01/ }).click();
      await modal.locator("[name=namespace]").selectOption("tools");
      await modal.locator("button[type=submit]").click();
      await gone();
      await act("tools", "Take out…");
      await modal.locator("button[type=submit]").click();
      await detail.getByRole("button", { name: "More actions: tools" }).waitFor({ state: "detached" });
      await act("payments-reports", "Delete…");
      await modal.locator("input").fill("payments-reports");
      await modal.locator("button[type=submit]").click();
      await gone();
      await detail.getByRole("button", { name: "More actions: payments-reports" }).waitFor({ state: "detached" });
      await one.context().close();
    });

    await step("simulation: a provider is tried out before it is saved", async () => {
      const one = await person(hub.user);
      await rows(one).first().waitFor();
      await one.goto("/providers/corp");
      await one.getByRole("dialog").getByRole("button", { name: "Edit…" }).click();
      await one.locator("[name=trialUsername]").fill("wang.fang");
      await one.locator("[name=trialPassword]").fill(hub.password);
      await one.locator("[data-modal] button[type=submit]").click();
      await one.locator("[data-validation=passed]").waitFor();
      await one.locator("[data-modal]").getByRole("button", { name: "Save", exact: true }).click();
      await one.locator("[data-modal]").waitFor({ state: "detached" });
      await one.context().close();
    });
  }

  await step("nothing broke the content policy, failed on the page or opened a dialog", conclude);
} finally {
  await browser.close();
  hub.stop();
}
