// Step-up in a real browser, against a real provider with two levels: who has a second factor lands on the page asked for,
// who has none on one that says so, and nobody loses what they had.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { agents } from "./support/agents.js";
import { startApplication } from "./support/application.js";
import { inspect, login, newAgent, startBrowser } from "./support/browser.js";
import { freePort, startGateway } from "./support/gateway.js";
import { startProvider } from "./support/provider.js";

describe("step-up", () => {
  let application, browser, context, gateway, origin, page, provider;

  before(async () => {
    const port = await freePort();
    origin = `http://localhost:${port}`;
    [provider, application, browser] = await Promise.all([startProvider([origin]), startApplication(), startBrowser()]);
    gateway = await startGateway({ port, issuer: provider.issuer, routes: routes(port, application.origin) });
  });
  after(async () => {
    await browser?.close();
    await Promise.all([gateway?.stop(), provider?.stop(), application?.stop()]);
  });
  beforeEach(async () => {
    context = await newAgent(browser);
    page = await context.newPage();
  });
  afterEach(() => context.close());

  const lecture = () => `${origin}/lecture`;
  const signature = () => `${origin}/signature/12?dossier=%C3%A9t%C3%A9&page=2`;
  const code = () => page.getByRole("button", { name: "Entrer le code" });

  async function isAt(url, agent) {
    await page.waitForURL(url);
    assert.equal(await page.locator("#who").textContent(), agents[agent].claims.email);
  }

  async function headers() {
    return page.evaluate(() => fetch("/en-tetes.json").then((answer) => answer.json()));
  }

  test("a second factor opens the page that was asked for", async () => {
    await login(page, lecture(), "noemie");
    await isAt(lecture(), "noemie");
    assert.equal(value(await headers(), "x-agent-acr"), "eidas1");
    await page.goto(signature());
    await code().click();
    await isAt(signature(), "noemie");
    assert.equal(value(await headers(), "x-agent-acr"), "eidas2");
    // Once is enough.
    await page.goto(`${origin}/signature/13`);
    await isAt(`${origin}/signature/13`, "noemie");
  });

  test("a first login that goes to such a page takes the second factor too", async () => {
    await login(page, signature(), "noemie");
    await code().click();
    await isAt(signature(), "noemie");
  });

  test("who has no second factor is told so, keeps their session, and meets no loop", async () => {
    await login(page, lecture(), "karim");
    await isAt(lecture(), "karim");
    let rounds = 0;
    page.on("request", (request) => (rounds += request.url().startsWith(`${provider.issuer}/authorize?`)));
    const answer = await page.goto(signature());
    assert.equal(answer.status(), 403);
    assert.equal(rounds, 1);
    const text = await page.locator("main").innerText();
    for (const part of ["carte d’agent", "eidas2, eidas3", "Signez avec votre second facteur.", "Karim Benali"]) {
      assert.ok(text.includes(part), `${part} in ${text}`);
    }
    assert.ok((await page.locator("body").innerText()).includes("support-signature@exemple.test"));
    await inspect(page, "step-up");
    await page.getByRole("link", { name: "Réessayer" }).click();
    await page.waitForLoadState();
    assert.equal(rounds, 2, "another try is the agent's own");
    await page.goto(lecture());
    await isAt(lecture(), "karim");
  });

  test("who gives up at the second factor can try again", async () => {
    await login(page, lecture(), "noemie");
    await page.goto(signature());
    await page.getByRole("button", { name: "Renoncer" }).click();
    await page.getByRole("heading", { name: "Authentification interrompue" }).waitFor();
    await page.getByRole("link", { name: "Réessayer" }).click();
    await code().click();
    await isAt(signature(), "noemie");
  });

  test("another account, from the page that says so", async () => {
    await login(page, lecture(), "karim");
    await page.goto(signature());
    await page.getByRole("button", { name: "Se déconnecter" }).click();
    await page.getByText("Se reconnecter").click();
    await page.locator('button[name=agent][value="lucja"]').click();
    await page.waitForURL(`${origin}/`);
    assert.equal(await page.locator("#email").textContent(), agents.lucja.claims.email);
    await page.goto(signature());
    await isAt(signature(), "lucja");
  });

  test("a form is sent once its agent has the level", async () => {
    await login(page, lecture(), "noemie");
    await isAt(lecture(), "noemie");
    const before = application.received.length;
    await page.evaluate(() => {
      const form = Object.assign(document.createElement("form"), { method: "post", action: "/signature/envoi" });
      form.append(Object.assign(document.createElement("input"), { name: "motif", value: "été" }));
      document.body.append(form);
      form.submit();
    });
    await page.getByRole("heading", { name: "Authentification renforcée nécessaire" }).waitFor();
    await inspect(page, "form-kept-step-up");
    assert.equal(application.received.length, before, "not a byte reached the application");
    await page.getByRole("link", { name: "S’authentifier" }).click();
    await code().click();
    await page.getByRole("button", { name: "Envoyer maintenant" }).click();
    await page.waitForURL(`${origin}/signature/envoi`);
    assert.ok(application.received.some(({ method, url }) => method === "POST" && url === "/signature/envoi"));
  });

  test("a script is told where the step-up begins, and its page comes back", async () => {
    await login(page, lecture(), "noemie");
    await isAt(lecture(), "noemie");
    const [status, problem] = await page.evaluate(() =>
      fetch("/signature/api").then(async (answer) => [answer.status, await answer.json()]),
    );
    assert.deepEqual([status, problem.code, problem.acr_values], [403, "insufficient_user_authentication", ["eidas2", "eidas3"]]);
    const url = new URL(problem.login_url, origin);
    url.searchParams.set("return_to", "/tableau?onglet=3");
    await page.goto(url.href);
    await code().click();
    await isAt(`${origin}/tableau?onglet=3`, "noemie");
    assert.notEqual(await page.evaluate(() => fetch("/signature/api").then(({ status }) => status)), 403);
  });
});

function value(rawHeaders, name) {
  return rawHeaders[rawHeaders.findIndex((header, index) => index % 2 === 0 && header.toLowerCase() === name) + 1];
}

function routes(port, upstream) {
  return `
[[route]]
name = "parapheur"
host = "localhost:${port}"
upstream = "${upstream}"
contact = "support-signature@exemple.test"

  [[route.allow]]
  not = { path = "/signature" }

  [[route.allow]]
  path = "/signature"
  acr = ["eidas2", "eidas3"]
  reason = "Signez avec votre second facteur."
`;
}
