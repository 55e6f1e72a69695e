// The portal in a real browser: what an agent may open, and one click into an application on another host.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { agents } from "./support/agents.js";
import { startApplication } from "./support/application.js";
import { inspect, login, newAgent, startBrowser } from "./support/browser.js";
import { freePort, startGateway } from "./support/gateway.js";
import { startProvider } from "./support/provider.js";

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><rect x="6" y="4" width="28" height="32" rx="3" fill="#000091"/><path d="M13 14h14M13 20h14M13 26h8" stroke="#fff" stroke-width="3"/></svg>`;

describe("the portal", () => {
  let application, browser, context, gateway, hosts, page, portal, provider;

  before(async () => {
    const port = await freePort();
    const at = (name) => `${name}.localhost:${port}`;
    hosts = Object.fromEntries(["login", "paie", "rh", "cellule"].map((name) => [name, `http://${at(name)}`]));
    portal = `${hosts.login}/.portillon/`;
    [provider, application, browser] = await Promise.all([startProvider([hosts.login]), startApplication(), startBrowser()]);
    gateway = await startGateway({
      port,
      issuer: provider.issuer,
      provider: `[login]\nhost = "${at("login")}"`,
      routes: routes(at, application.origin),
      prepare: (folder) => writeFile(path.join(folder, "paie.svg"), ICON),
    });
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

  const names = () => page.getByRole("main").getByRole("list").getByRole("link").allTextContents();

  test("lists what the agent may open, with icons of our own, and asks for nothing foreign", async () => {
    const asked = [];
    await login(page, portal, "zoe");
    await page.waitForURL(portal);
    page.on("request", (request) => asked.push(new URL(request.url()).origin));
    await page.reload();
    assert.deepEqual(await names(), ["Paie et primes", "Ressources humaines", "Épargne-temps et congés"]);
    assert.ok(await page.locator(".applications img").evaluate((image) => image.complete && image.naturalWidth > 0), "the icon is shown");
    assert.deepEqual([...new Set(asked)], [hosts.login]);
    const text = await page.getByRole("main").innerText();
    for (const shown of ["Bulletins, primes et remboursements.", "Zoé Anaïs", agents.zoe.claims.email]) assert.ok(text.includes(shown), text);
    await inspect(page, "portal");
  });

  test("one click, and the agent is in an application on another host, without a form", async () => {
    await login(page, portal, "zoe");
    await page.waitForURL(portal);
    const asked = [];
    page.on("request", (request) => asked.push(new URL(request.url()).origin));
    await page.getByRole("link", { name: "Ressources humaines" }).click();
    await page.waitForURL(`${hosts.rh}/accueil?vue=mois`);
    assert.equal(await page.locator("#who").textContent(), agents.zoe.claims.email);
    assert.ok(!asked.includes(new URL(provider.issuer).origin), asked.join(" "));
  });

  test("the whole of a tile is its link, and the keyboard reaches it", async () => {
    await login(page, portal, "zoe");
    await page.waitForURL(portal);
    const { x, y, height } = await page.getByText("Bulletins, primes et remboursements.").boundingBox();
    await page.mouse.click(x + 5, y + height / 2);
    await page.waitForURL(`${hosts.paie}/`);
    await page.goto(portal);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Paie et primes");
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement, "::after").outlineStyle), "none");
    await page.keyboard.press("Enter");
    await page.waitForURL(`${hosts.paie}/`);
  });

  test("what another agent may open, this one does not hear of", async () => {
    await login(page, portal, "karim");
    await page.waitForURL(portal);
    assert.deepEqual(await names(), ["Ressources humaines", "Cellule des prestataires"]);
    assert.ok(!(await page.content()).includes("Paie"), "not even in the source");
    // A menu that an application makes of the list.
    await page.goto(`${hosts.rh}/accueil`);
    const { applications } = await page.evaluate(() => fetch("/.portillon/").then((answer) => answer.json()));
    assert.deepEqual(applications.map(({ name }) => name), ["Ressources humaines", "Cellule des prestataires"]);
  });

  test("the front page of the login host is the portal, and logging out leaves it", async () => {
    await login(page, `${hosts.login}/`, "zoe");
    await page.waitForURL(portal);
    await page.getByRole("button", { name: "Se déconnecter" }).click();
    await page.waitForURL(`${hosts.login}/.portillon/signed-out*`);
    await page.goto(portal);
    assert.equal(new URL(page.url()).origin, new URL(provider.issuer).origin, "a login is asked for again");
  });

  test("nothing to open is said in words", async () => {
    await login(page, portal, "lucja");
    await page.waitForURL(portal);
    assert.match(await page.getByRole("main").innerText(), /Aucune application/);
    await inspect(page, "portal-empty");
  });

  test("in the dark, and in English", async () => {
    const other = await newAgent(browser, { locale: "en-GB", colorScheme: "dark" });
    const english = await other.newPage();
    await login(english, portal, "zoe");
    await english.waitForURL(portal);
    assert.equal(await english.locator("h1").textContent(), "Your applications");
    await inspect(english, "portal-english-dark");
    await other.close();
  });
});

function routes(at, upstream) {
  return `
[[route]]
name = "paie"
host = "${at("paie")}"
upstream = "${upstream}"

  [route.portal]
  name = "Paie et primes"
  description = "Bulletins, primes et remboursements."
  icon = "paie.svg"

  [[route.allow]]
  mfa = true
  roles = ["agent_public_etat"]
  uid = ["9681"]

[[route]]
name = "rh"
host = "${at("rh")}"
upstream = "${upstream}"

  [route.portal]
  name = "Ressources humaines"
  start = "/accueil?vue=mois"

  [[route.deny]]
  uid = ["4410"]

[[route]]
name = "conges"
host = "${at("rh")}"
path = "/conges/"
upstream = "${upstream}"

  [route.portal]
  name = "Épargne-temps et congés"
  description = "Poser des jours, suivre son solde, alimenter ou débloquer son compte épargne-temps."

  [[route.allow]]
  uid = ["9681"]

[[route]]
name = "cellule"
host = "${at("cellule")}"
upstream = "${upstream}"

  [route.portal]
  name = "Cellule des prestataires"

  [[route.allow]]
  belonging_population = ["prestataire"]
`;
}
