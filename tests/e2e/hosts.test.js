// One login for many hosts in a real browser: three redirects that nobody sees, and one logout for all.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { agents } from "./support/agents.js";
import { startApplication } from "./support/application.js";
import { inspect, login, newAgent, startBrowser } from "./support/browser.js";
import { freePort, startGateway } from "./support/gateway.js";
import { startProvider } from "./support/provider.js";

describe("one login for many hosts", () => {
  let application, browser, context, gateway, page, paie, provider, rh;

  before(async () => {
    const port = await freePort();
    const at = (name) => `${name}.localhost:${port}`;
    [paie, rh] = [`http://${at("paie")}`, `http://${at("rh")}`];
    // The login host is the only one that the provider knows of.
    [provider, application, browser] = await Promise.all([startProvider([`http://${at("login")}`]), startApplication(), startBrowser()]);
    const route = (name) => `[[route]]\nname = "${name}"\nhost = "${at(name)}"\nupstream = "${application.origin}"\n`;
    gateway = await startGateway({
      port,
      issuer: provider.issuer,
      provider: `[login]\nhost = "${at("login")}"`,
      routes: route("paie") + route("rh"),
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

  const who = () => page.locator("#who").textContent();

  test("the second host asks nobody, and keeps the address to its last character", async () => {
    await login(page, `${paie}/dossiers/42?nom=%C3%89t%C3%A9&vide`, "zoe");
    await page.waitForURL(`${paie}/dossiers/42?nom=%C3%89t%C3%A9&vide`);
    assert.equal(await who(), agents.zoe.claims.email);
    const asked = [];
    page.on("request", (request) => asked.push(new URL(request.url()).origin));
    await page.goto(`${rh}/dossiers/7?page=2#partie-3`);
    assert.equal(page.url(), `${rh}/dossiers/7?page=2#partie-3`);
    assert.equal(await who(), agents.zoe.claims.email);
    assert.ok(!asked.includes(new URL(provider.issuer).origin), asked.join(" "));
    const sessions = (await context.cookies()).filter(({ name }) => name === "__Host-portillon");
    assert.deepEqual(sessions.map(({ domain }) => domain.split(".")[0]).sort(), ["login", "paie", "rh"]);
    assert.equal(new Set(sessions.map(({ value }) => value)).size, 3);
  });

  test("a logout at one host ends the other, and returns to where it began", async () => {
    await login(page, `${paie}/`, "zoe");
    await page.waitForURL(`${paie}/`);
    const other = await context.newPage();
    await other.goto(`${rh}/`);
    await page.goto(`${paie}/.portillon/me`);
    await page.locator('form[action*="/.portillon/logout"] button').click();
    await page.waitForURL(`${paie}/.portillon/signed-out*`);
    await inspect(page, "signed-out-everywhere");
    assert.equal(await other.evaluate(() => fetch("/x").then(({ status }) => status)), 401);
    await other.goto(`${rh}/`);
    assert.equal(new URL(other.url()).origin, new URL(provider.issuer).origin, "the login is over at the provider too");
  });
});
