// What every browser test starts from: a Chromium, pages that report what they should not do, and the checks made of all of them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const SHOTS = process.env.ACP_SCREENSHOTS ?? fileURLToPath(new URL("../test-results/", import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

export const LANGUAGES = ["en", "zh"];
export const THEMES = ["light", "dark"];

export async function launch() {
  await mkdir(SHOTS, { recursive: true });
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** Violations of the content policy, errors and dialogs of every page so far. */
export const complaints = [];

export async function newPage(browser, options) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 }, locale: "en-US", ...options });
  await context.exposeFunction("__violation", (text) => complaints.push(`policy: ${text}`));
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      globalThis.__violation(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile ?? ""}:${event.lineNumber} ${event.sample}`);
    });
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => complaints.push(`page error: ${error.message}`));
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("console", (message) => {
    // The browser itself reports refused sign-ins and a network taken away; both are made here on purpose.
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) complaints.push(`console: ${message.text()}`);
  });
  return page;
}

/** Fonts are there, and what moves once has moved. What repeats is not waited for. */
export async function settled(page) {
  await page.evaluate(async () => {
    await document.fonts.ready;
    const moving = () => document.getAnimations().filter((a) => a.effect?.getComputedTiming().iterations === 1 && a.playState === "running");
    // The page hears of another window or theme with its next frame, and shows it with the one after.
    const frames = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    do {
      await frames();
      await Promise.all(moving().map((a) => a.finished.catch(() => undefined)));
    } while (moving().length > 0);
  });
}

export async function shot(page, name) {
  await settled(page);
  await page.screenshot({ path: `${SHOTS}/${name}.png` });
}

export async function axe(page, where) {
  await settled(page);
  await page.evaluate(AXE);
  const found = await page.evaluate((values) => globalThis.axe.run(document, { runOnly: { type: "tag", values }, preload: false }), WCAG);
  const text = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join("\n    ")}`);
  assert.deepEqual(text, [], `axe on ${where}`);
}

/** Nothing may be wider than the window. */
export async function fits(page, where) {
  const [content, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert(content <= room, `${where} is ${content} px wide in ${room} px`);
}

let steps = 0;
export async function step(name, run) {
  const started = Date.now();
  await run();
  steps++;
  console.log(`ok ${String(steps).padStart(2)}  ${name} (${Date.now() - started} ms)`);
}

export async function conclude() {
  assert.deepEqual(complaints, []);
  console.log(`all ${steps + 1} steps passed; screenshots in ${SHOTS}`);
}
