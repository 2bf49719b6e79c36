// Looks at every state of every page (states.mjs), also those that a healthy hub seldom gives.
//
//   npm run e2e:states                          large and small, light and dark, the languages in turn
//   ACP_EVERY_LOOK=1 npm run e2e:states         the other language in the other theme, too
//   ACP_STATES='^sign-in' npm run e2e:states    only the states of such names
//   ACP_PART=0/6 npm run e2e:states             each sixth state from the first one on; with it what is looked at once
//
// It needs a build and no hub: every answer is invented. Screenshots go where those of console.mjs go.
import assert from "node:assert/strict";
import { axe, conclude, fits, launch, newPage, shot, step } from "./browser.mjs";
import { simulation } from "./simulation.mjs";
import { sendEvent, show, states } from "./states.mjs";

const [part, parts] = (process.env.ACP_PART ?? "0/1").split("/").map(Number);
const named = Object.keys(states).filter((name) => new RegExp(process.env.ACP_STATES ?? "").test(name));
const chosen = named.filter((_, index) => index % parts === part);
const hub = await simulation();
const browser = await launch();
const visit = (options = {}) => newPage(browser, { baseURL: hub.url, ...options });

async function inspect(page, name) {
  await fits(page, name);
  await axe(page, name);
  await shot(page, `state-${name}`);
}

try {
  await step(`${chosen.length} states: axe, and they fit`, async () => {
    const waiting = [...chosen.entries()];
    const wrong = [];
    const inspectState = async (index, name) => {
      const [first, second] = index % 2 ? ["en", "zh"] : ["zh", "en"];
      const page = await visit({ colorScheme: "light", locale: first === "zh" ? "zh-CN" : "en-US" });
      await show(page, name);
      await inspect(page, `${name}-1440-${first}-light`);
      // The same page, made small and dark under its user's eyes.
      await page.setViewportSize({ width: 390, height: 844 });
      await page.emulateMedia({ colorScheme: "dark" });
      await inspect(page, `${name}-390-${first}-dark`);
      await page.setViewportSize({ width: 360, height: 740 });
      await fits(page, `${name} at 360 px`);
      await axe(page, `${name} at 360 px`);
      await page.context().close();
      if (!process.env.ACP_EVERY_LOOK) return;
      const other = await visit({ colorScheme: "dark", locale: second === "zh" ? "zh-CN" : "en-US" });
      await show(other, name);
      await inspect(other, `${name}-1440-${second}-dark`);
      await other.context().close();
    };
    // A few at a time: some states take seconds to come about. All are looked at before the first fault is told.
    const look = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const [index, name] = next;
        await inspectState(index, name).catch((error) => wrong.push(`${name}: ${error.message}`));
      }
    };
    await Promise.all([look(), look(), look()]);
    assert.deepEqual(wrong, []);
  });

  if (!process.env.ACP_STATES && part === 0) await step("768 px, and 1440 px at a zoom of 200 %: nothing is cut off", async () => {
    for (const viewport of [
      { width: 768, height: 1024 },
      { width: 720, height: 450 },
    ])
      for (const name of ["sign-in", "list", "cluster-lost", "import-token-missing", "register-waiting", "remove-refused", "list-forbidden", "sign-in-providers", "sign-in-enrol", "device-question", "account", "account-token", "users", "user-locked", "user-create", "group", "provider-add", "provider-works", "policy", "projects", "project", "project-create", "namespaces", "namespace-create", "bindings", "role", "explain-yes", "search"]) {
        const one = await visit({ viewport, deviceScaleFactor: viewport.width === 720 ? 2 : 1 });
        await show(one, name);
        await fits(one, `${name} at ${viewport.width} px`);
        const action = one.locator("button[type=submit]:enabled").last();
        // A trial: the button could be pressed, but is not.
        if (await action.count()) await action.click({ trial: true });
        await shot(one, `state-${name}-${viewport.width}`);
        await one.context().close();
      }
  });

  // threats.md case 58
  if (part === 0) await step("what a member says of itself stays text, in list, drawer and dialogs", async () => {
    const one = await visit();
    await show(one, "hostile");
    await sendEvent(one, "MODIFIED", "hostile");
    const active = await one.evaluate(() => [...document.querySelectorAll("#root img, #root script, [onload], [onerror], a[href^='javascript:']")].map((each) => each.outerHTML));
    assert.deepEqual(active, []);
    assert.equal(await one.evaluate(() => ({}).polluted), undefined);
    await one.getByRole("button", { name: "Remove…" }).click();
    await one.getByRole("dialog", { name: "Remove hostile" }).waitFor();
    await one.context().close();
  });

  if (part === 0) await step("a reader without the right asks no more than once in a while", async () => {
    const one = await visit();
    await show(one, "list-forbidden");
    await one.locator("[data-connection=forbidden]").waitFor();
    const asked = await one.evaluate(() => globalThis.__requests);
    await one.waitForTimeout(5_000);
    assert.equal(await one.evaluate(() => globalThis.__requests), asked);
    await one.context().close();
  });

  if (part === 0) await step("reduced motion: nothing moves", async () => {
    for (const name of ["sign-in", "list-loading", "register-waiting"]) {
      const one = await visit({ reducedMotion: "reduce" });
      await show(one, name);
      assert.equal(await one.evaluate(() => document.getAnimations().length), 0, name);
      await one.context().close();
    }
  });

  await step("nothing broke the content policy, failed on the page or opened a dialog", conclude);
} finally {
  await browser.close();
  hub.stop();
}
