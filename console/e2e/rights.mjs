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

/** What is done to namespaces of the project `bank`, by role; all others do nothing to them. */
const NAMESPACES = { "platform-admin-system": ["create", "import", "takeOut", "delete"], "project-admin-system": ["create", "takeOut", "delete"] };

async function namespaces(page, { role, cells }) {
  const { cluster } = cells.find(({ namespace }) => namespace === "bank-a");
  const may = NAMESPACES[role] ?? [];
  await page.goto("/projects/bank");
  const button = (words) => page.getByRole("button", { name: new RegExp(`^${words}\\s*${cluster}`) });
  const known = async (one) => one.evaluate((each) => new Promise((done) => { const look = () => (each.hasAttribute("aria-disabled") && !each.hasAttribute("aria-describedby") ? setTimeout(look, 50) : done(!each.hasAttribute("aria-disabled"))); look(); }));
  assert.equal(await known(button("Create namespace")), may.includes("create"), `${role} creates namespaces`);
  assert.equal(await known(button("Import")), may.includes("import"), `${role} imports namespaces`);
  await button("Show namespaces").click();
  // Not everybody who sees the project sees this namespace of it.
  const list = page.getByRole("list", { name: `Namespaces on ${cluster}` });
  const more = (name) => page.getByRole("button", { name: `More actions: ${name}` });
  const item = (name) => page.getByRole("menuitem", { name });
  await list.or(page.getByText("No namespaces.")).waitFor();
  if (await more("bank-a").count()) {
    await more("bank-a").click();
    for (const [words, action] of [["Take out…", "takeOut"], ["Delete…", "delete"]]) await page.waitForFunction(([text, wanted]) => [...document.querySelectorAll("[role=menuitem]")].some((each) => each.textContent.startsWith(text) && (each.getAttribute("aria-disabled") !== "true") === wanted && (wanted || each.textContent.includes("You lack the right"))), [words, may.includes(action)]);
    await shot(page, `rights-${role}-namespaces`);
    await page.keyboard.press("Escape");
  }
  if (!may.includes("create")) return;
  const modal = page.locator("[data-modal]");
  const send = async () => {
    await modal.locator("button[type=submit]").click();
    await modal.waitFor({ state: "detached" });
  };
  const name = `bank-by-${role}`;
  await button("Create namespace").click();
  await modal.locator("[name=name]").fill(name);
  await modal.locator("[name=pods]").fill("5");
  await modal.locator("[name=podSecurity]").selectOption("restricted");
  await send();
  await list.getByText(/^(0|–) of 5$/).waitFor();
  await more(name).click();
  await item("Delete…").click();
  await modal.locator("input").fill(name);
  await send();
  await more(name).waitFor({ state: "detached" });
}

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
    if (person.projects.includes("bank")) await step(`${person.role}: namespaces are made and deleted by whom it is for`, () => namespaces(page, person));
    await page.context().close();
  }
  await conclude();
} finally {
  await browser.close();
}
