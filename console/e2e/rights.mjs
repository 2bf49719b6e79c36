// What the console tells people of their rights, against a real platform. The argument is a file with who they are and what
// they should be told.
//
//   ACP_URL=https://127.0.0.1:8443 node e2e/rights.mjs rights.json
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { axe, conclude, launch, newPage, shot, step } from "./browser.mjs";

const people = JSON.parse(readFileSync(process.argv[2], "utf8"));
const browser = await launch();

const signIn = async (page, { username, password }) => {
  await page.goto("/projects");
  await page.locator("input[name=username]").fill(username);
  await page.locator("input[name=password]").fill(password);
  await page.locator("form button[type=submit]").click();
  await page.waitForURL((url) => url.pathname === "/projects");
};

const question = ({ cluster, namespace, verb, resource }) => `/explain?${new URLSearchParams({ verb, resource, cluster, namespace })}`;

try {
  for (const person of people) {
    const page = await newPage(browser, { baseURL: process.env.ACP_URL });
    await step(`${person.role}: the projects are theirs`, async () => {
      await signIn(page, person);
      await page.locator(person.projects.length > 0 ? "[data-row-link]" : "h2:text-is(\"No projects yet\")").first().waitFor();
      const shown = await page.locator("[data-row-link]").evaluateAll((all) => all.map((one) => new URL(one.href).pathname.split("/").pop()));
      assert.deepEqual(shown.toSorted(), person.projects);
      await shot(page, `rights-${person.role}-projects`);
    });
    await step(`${person.role}: ${person.cells.length} answers are as in the clusters`, async () => {
      await page.goto("/explain");
      for (const cell of person.cells) {
        // Within the page, as by a link: to load it anew each time would take longer than all answers.
        await page.evaluate((to) => history.pushState({}, "", to), question(cell));
        const words = `${cell.verb} ${cell.resource} in namespace ${cell.namespace} on cluster ${cell.cluster}`;
        const verdict = await page.locator("[data-verdict]", { hasText: words }).getAttribute("data-verdict");
        assert.equal(verdict, cell.allowed ? "allowed" : "refused", `${person.username}: ${words}`);
      }
      await axe(page, "explain");
      await shot(page, `rights-${person.role}-explain`);
    });
    await page.context().close();
  }
  await conclude();
} finally {
  await browser.close();
}
