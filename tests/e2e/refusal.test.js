// An agent whom the rules do not admit, in a real browser: what the page tells them, and their way to another account.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { agents } from "./support/agents.js";
import { startApplication } from "./support/application.js";
import { inspect, login, newAgent, startBrowser } from "./support/browser.js";
import { freePort, startGateway } from "./support/gateway.js";
import { startProvider } from "./support/provider.js";

describe("the refusal page", () => {
  let application, browser, context, gateway, origin, page, provider;

  before(async () => {
    const port = await freePort();
    origin = `http://localhost:${port}`;
    [provider, application, browser] = await Promise.all([startProvider([origin]), startApplication(), startBrowser()]);
    gateway = await startGateway({ port, issuer: provider.issuer, scope: ["organization_label"], routes: routes(`localhost:${port}`, application.origin) });
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

  /** Opens a page as Karim, who is refused. */
  async function refused() {
    const answers = [];
    page.on("response", (response) => response.request().isNavigationRequest() && answers.push(response));
    await login(page, `${origin}/dossiers/42`, "karim");
    await page.waitForURL(`${origin}/dossiers/42`);
    await page.waitForLoadState();
    return answers.at(-1);
  }

  test("says who one is, through which administration, which application refused, why, and whom to ask", async () => {
    const before = application.received.length;
    const answer = await refused();
    assert.equal(answer.status(), 403);
    const text = await page.getByRole("main").innerText();
    const { claims } = agents.karim;
    const reference = answer.headers()["x-request-id"];
    for (const shown of [
      `${claims.given_name} ${claims.usual_name}`,
      claims.email,
      claims.organization_label,
      claims.siret,
      "« Dossiers et courriers »",
      "Non ouvert aux prestataires.",
      "support-dossiers@exemple.test",
      reference,
    ]) {
      assert.ok(text.replaceAll("\u00a0", " ").includes(shown), `${shown}: ${text}`);
    }
    assert.ok(!text.includes("Réservé à la direction."), "the rules of others are theirs");
    assert.equal(application.received.length, before, "not a byte reached the application");
    assert.match(gateway.log(), new RegExp(`"request_id":"${reference}"`), "the reference finds it in the log");
    const contact = await page.getByRole("link", { name: "support-dossiers@exemple.test" }).getAttribute("href");
    assert.ok(contact.startsWith("mailto:support-dossiers@exemple.test?subject=") && contact.endsWith(reference), contact);
    await inspect(page, "refused");
  });

  test("a script is told the same, and nothing about the agent", async () => {
    await refused();
    await page.goto(`${origin}/static/app.css`);
    const problem = await page.evaluate(() => fetch("/api").then(async (answer) => ({ type: answer.headers.get("content-type"), ...(await answer.json()) })));
    assert.equal(problem.status, 403);
    assert.deepEqual([problem.code, problem.application, problem.reasons], ["refused", "Dossiers et courriers", ["Non ouvert aux prestataires."]]);
    assert.ok(!JSON.stringify(problem).includes(agents.karim.claims.email));
  });

  test("leads to another account, which enters", async () => {
    await refused();
    await page.getByRole("button", { name: "Se déconnecter pour changer de compte" }).click();
    await page.waitForURL(`${origin}/.portillon/signed-out*`);
    await page.getByRole("link", { name: "Se reconnecter" }).click();
    // The provider has forgotten Karim too: it asks who it is.
    await page.locator('button[name=agent][value="zoe"]').click();
    await page.waitForURL(`${origin}/`);
    assert.equal(await page.locator("#email").textContent(), agents.zoe.claims.email);
    await page.goto(`${origin}/dossiers/42`);
    assert.equal(await page.locator("#who").textContent(), agents.zoe.claims.email);
  });

  test("leads to the applications that the agent may open", async () => {
    await refused();
    await page.getByRole("link", { name: "Les applications ouvertes à ce compte" }).click();
    await page.waitForURL(`${origin}/.portillon/`);
    assert.match(await page.getByRole("main").innerText(), /Aucune application/);
  });

  test("without logging out first, the same account comes back", async () => {
    await refused();
    await context.clearCookies({ name: "__Host-portillon" });
    await page.goto(`${origin}/dossiers/42`);
    await page.waitForURL(`${origin}/dossiers/42`);
    assert.match(await page.getByRole("main").innerText(), /Karim/);
  });

  test("in the dark, and in English", async () => {
    const other = await newAgent(browser, { locale: "en-GB", colorScheme: "dark" });
    const english = await other.newPage();
    await login(english, `${origin}/`, "karim");
    await english.waitForURL(`${origin}/`);
    assert.equal(await english.locator("h1").textContent(), "Access refused");
    await inspect(english, "refused-english-dark");
    await other.close();
  });
});

function routes(host, upstream) {
  return `
[[route]]
name = "dossiers"
host = "${host}"
upstream = "${upstream}"
contact = "support-dossiers@exemple.test"

  [route.portal]
  name = "Dossiers et courriers"

  [[route.public]]
  path = "/static/"

  [[route.deny]]
  belonging_population = ["prestataire"]
  reason = "Non ouvert aux prestataires."

  [[route.allow]]
  mfa = true
  reason = "Réservé à la direction."
`;
}
