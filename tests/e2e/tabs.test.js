// Tabs, back buttons and slow agents in a real browser: whatever the order, each login ends where the agent wanted to go.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { agents } from "./support/agents.js";
import { startApplication } from "./support/application.js";
import { newAgent, startBrowser } from "./support/browser.js";
import { freePort, startGateway } from "./support/gateway.js";
import { startProvider } from "./support/provider.js";

const TABS = 10;

describe("tabs and slow agents", () => {
  let application, browser, context, gateway, origin, page, provider;

  before(async () => {
    const port = await freePort();
    origin = `http://localhost:${port}`;
    [provider, application, browser] = await Promise.all([startProvider([origin]), startApplication(), startBrowser()]);
    gateway = await startGateway({
      port,
      issuer: provider.issuer,
      routes: `[[route]]\nname = "dossiers"\nhost = "localhost:${port}"\nupstream = "${application.origin}"`,
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

  const link = (number) => `${origin}/dossiers/${number}?onglet=${number}`;
  const button = (tab) => tab.locator('button[name=agent][value="zoe"]');

  /** As many tabs, each on the login page of its own link, opened at once. */
  async function tabsAtTheLogin() {
    const tabs = await Promise.all(Array.from({ length: TABS }, () => context.newPage()));
    await Promise.all(tabs.map((tab, number) => tab.goto(link(number))));
    await Promise.all(tabs.map((tab) => button(tab).waitFor()));
    return tabs;
  }

  async function isAt(tab, url) {
    await tab.waitForURL(url);
    assert.equal(await tab.locator("#who").textContent(), agents.zoe.claims.email);
  }

  test("ten tabs log in one after the other, in no order, and all arrive", async () => {
    const tabs = await tabsAtTheLogin();
    for (const number of [4, 9, 0, 7, 2, 5, 8, 1, 6, 3]) {
      await button(tabs[number]).click();
      await isAt(tabs[number], link(number));
    }
  });

  test("ten tabs log in in one moment, and all arrive", async () => {
    const tabs = await tabsAtTheLogin();
    await Promise.all(tabs.map((tab) => button(tab).click({ noWaitAfter: true })));
    await Promise.all(
      tabs.map(async (tab, number) => {
        // The provider ends what it gave one tab when another logs in at that moment: our page says so, and leads on.
        const [who, again] = [tab.locator("#who"), tab.getByRole("link", { name: "Réessayer" })];
        await who.or(again).first().waitFor();
        if (await again.isVisible()) await again.click();
        await isAt(tab, link(number));
      }),
    );
  });

  test("back after the login, in a tab of several, asks for nothing again", async () => {
    const other = await context.newPage();
    await page.goto(`${origin}/dossiers/depart`);
    await other.goto(link(1));
    await button(page).click();
    await isAt(page, `${origin}/dossiers/depart`);
    await page.goto(link(2));
    await page.goBack();
    await isAt(page, `${origin}/dossiers/depart`);
    // Its login page was open before the other one logged in.
    await button(other).click();
    await isAt(other, link(1));
    await other.goBack();
    await other.goForward();
    await isAt(other, link(1));
  });

  test("a login page left open past its time ends on the page asked for", async () => {
    await page.goto(link(7));
    await button(page).waitFor();
    // After an hour the browser no longer has what it was given for this login.
    const attempt = /^__Host-portillon-login-/;
    assert.ok((await context.cookies()).some(({ name }) => attempt.test(name)));
    await context.clearCookies({ name: attempt });
    await button(page).click();
    await isAt(page, link(7));
  });
});
