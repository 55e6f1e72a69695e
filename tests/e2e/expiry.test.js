// What a session that expires, or ends, does to the work of an agent in a real browser: nothing they typed is lost, and
// nothing that is open goes on.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { agents } from "./support/agents.js";
import { startApplication } from "./support/application.js";
import { endsWithLogout, inspect, login, newAgent, startBrowser } from "./support/browser.js";
import { freePort, startGateway } from "./support/gateway.js";
import { startProvider } from "./support/provider.js";

/** The idle limit in seconds: enough for a busy machine to look at a page. */
const IDLE = 8;

for (const automatic of [false, true]) {
  describe(`a session that expires${automatic ? ", where forms send themselves" : ""}`, () => {
    let application, browser, context, gateway, origin, page, provider;

    before(async () => {
      const port = await freePort();
      origin = `http://localhost:${port}`;
      [provider, application, browser] = await Promise.all([startProvider([origin]), startApplication(), startBrowser()]);
      gateway = await startGateway({
        port,
        issuer: provider.issuer,
        provider: `[session]\nidle = "${IDLE}s"\n[stash]\nautomatic = ${automatic}`,
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

    test("costs no form: a file of three megabytes is sent after the login", async () => {
      const file = randomBytes(3 * 1024 * 1024);
      await login(page, `${origin}/piece`, "zoe");
      await page.getByLabel("Objet").fill("Congé d’été & cætera");
      await page.getByLabel("Mot de passe").fill("très secret");
      await page.getByLabel("Pièce").setInputFiles({ name: "état.pdf", mimeType: "application/pdf", buffer: file });
      await page.waitForTimeout((IDLE + 1) * 1000);
      await page.getByRole("button", { name: "Envoyer" }).click();
      await page.getByRole("heading", { name: "Votre session a expiré" }).waitFor();
      if (!automatic) await inspect(page, "form-kept");
      await page.getByRole("link", { name: "Se reconnecter" }).click();
      // The provider may still know the agent.
      const known = page.locator('button[name=agent][value="zoe"]');
      const arrived = page.locator(automatic ? "#digest" : "#send");
      await known.or(arrived).first().waitFor();
      if (await known.isVisible()) await known.click();
      if (!automatic) {
        await page.getByRole("heading", { name: "Envoyer ce formulaire" }).waitFor();
        assert.match(await page.locator("table").textContent(), /Congé d’été & cætera/);
        assert.match(await page.locator("table").textContent(), /état\.pdf.*3\u{a0}Mo/u);
        assert.doesNotMatch(await page.content(), /très secret/);
        await inspect(page, "form");
        await page.getByRole("button", { name: "Envoyer maintenant" }).click();
      }
      await page.locator("#digest").waitFor();
      assert.equal(await page.locator("#digest").textContent(), createHash("sha256").update(file).digest("hex"));
      assert.equal(await page.locator("#objet").textContent(), "Congé d’été & cætera");
      assert.equal(await page.locator("#nom").textContent(), "état.pdf");
      assert.equal(await page.locator("#who").textContent(), agents.zoe.claims.email);
      assert.equal(page.url(), `${origin}/piece`, "links of the answer lead on from the form's own address");
    });
  });
}

describe("a logout", () => {
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
    context = await newAgent(browser);
    page = await context.newPage();
  });
  after(async () => {
    await browser?.close();
    await Promise.all([gateway?.stop(), provider?.stop(), application?.stop()]);
  });

  test("ends the WebSocket and the event stream of another tab", async () => {
    await login(page, `${origin}/`, "zoe");
    await page.waitForURL(`${origin}/`);
    await endsWithLogout(page);
  });
});
