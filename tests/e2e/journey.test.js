// An agent's day in a real browser: a deep link, a login, work, other tabs, and leaving.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { agents } from "./support/agents.js";
import { startApplication } from "./support/application.js";
import { inspect, login, newAgent, screenshot, startBrowser } from "./support/browser.js";
import { freePort, startGateway } from "./support/gateway.js";
import { poll } from "./support/poll.js";
import { startProvider } from "./support/provider.js";

describe("an agent's day", () => {
  let application, browser, context, gateway, origin, page, provider;

  before(async () => {
    const port = await freePort();
    origin = `http://localhost:${port}`;
    [provider, application, browser] = await Promise.all([startProvider([origin]), startApplication(), startBrowser()]);
    gateway = await startGateway({
      port,
      issuer: provider.issuer,
      routes: `
[[route]]
name = "dossiers"
host = "localhost:${port}"
upstream = "${application.origin}"
logout_paths = ["/deconnexion"]

  [[route.public]]
  path = "/static/"
`,
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

  test("a deep link survives the login, query and all", async () => {
    const link = "/dossiers/42?vue=liste&nom=%C3%89t%C3%A9%20%2F&vide";
    await login(page, `${origin}${link}`, "zoe");
    await page.waitForURL(`${origin}${link}`);
    assert.equal(await page.locator("#target").textContent(), link);
    assert.equal(await page.locator("#who").textContent(), agents.zoe.claims.email);
  });

  test("a fragment survives where no page stands between", async () => {
    await login(page, `${origin}/`, "zoe");
    await page.waitForURL(`${origin}/`);
    await context.clearCookies({ domain: "localhost" });
    await page.goto(`${origin}/dossiers/42?page=2#partie-3`);
    assert.equal(page.url(), `${origin}/dossiers/42?page=2#partie-3`);
    assert.equal(await page.locator("#who").textContent(), agents.zoe.claims.email);
  });

  for (const [name, { claims }] of Object.entries(agents)) {
    test(`the application knows ${claims.given_name} ${claims.usual_name}`, async () => {
      await login(page, `${origin}/`, name);
      await page.waitForURL(`${origin}/`);
      assert.equal(await page.locator("h1").textContent(), `Bonjour ${claims.given_name} ${claims.usual_name}`);
      assert.equal(await page.locator("#phone-number").textContent(), claims.phone_number ?? "");
      assert.equal(await page.locator("#organizational-unit").textContent(), claims.organizational_unit ?? "");
      await screenshot(page, `application-${name}`);
    });
  }

  test("a form is posted with the agent's identity", async () => {
    await login(page, `${origin}/formulaire`, "zoe");
    await page.getByLabel("Objet").fill("Congé d’été & cætera");
    await page.getByRole("button", { name: "Envoyer" }).click();
    assert.equal(await page.locator("#objet").textContent(), "Congé d’été & cætera");
    assert.equal(await page.locator("#who").textContent(), agents.zoe.claims.email);
  });

  test("a websocket opens as the agent and carries both ways", async () => {
    await login(page, `${origin}/`, "zoe");
    await page.waitForURL(`${origin}/`);
    const heard = await page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const messages = [];
          const socket = new WebSocket(`ws://${location.host}/ws`);
          socket.onopen = () => socket.send("ça va ?");
          socket.onerror = () => reject(new Error("the websocket failed"));
          socket.onmessage = async ({ data }) => {
            messages.push(typeof data === "string" ? data : await data.text());
            if (messages.length === 2) resolve(messages);
          };
        }),
    );
    assert.deepEqual(heard, [`bonjour ${agents.zoe.claims.email}`, "ça va ?"]);
  });

  test("a websocket without a session is refused before the application", async () => {
    await page.goto(`${origin}/static/app.css`);
    const before = application.received.length;
    const outcome = await page.evaluate(
      () =>
        new Promise((resolve) => {
          const socket = new WebSocket(`ws://${location.host}/ws`);
          socket.onopen = () => resolve("open");
          socket.onerror = () => resolve("refused");
        }),
    );
    assert.equal(outcome, "refused");
    assert.equal(application.received.length, before);
  });

  test("a download keeps its name and bytes", async () => {
    await login(page, `${origin}/`, "zoe");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByText("Télécharger").click()]);
    assert.equal(download.suggestedFilename(), "relevé d’heures.pdf");
    assert.equal(await readFile(await download.path(), "utf8"), "%PDF-1.4 relevé");
  });

  test("server-sent events arrive one by one", async () => {
    await login(page, `${origin}/`, "zoe");
    await page.waitForURL(`${origin}/`);
    await page.evaluate(() => {
      globalThis.heard = [];
      new EventSource("/evenements").onmessage = ({ data }) => globalThis.heard.push(data);
    });
    await poll("the stream is open", () => application.listening > 0);
    for (const [index, text] of ["un", "deux", "trois"].entries()) {
      application.announce(text);
      await page.waitForFunction((count) => globalThis.heard.length === count, index + 1);
    }
    assert.deepEqual(await page.evaluate(() => globalThis.heard), ["un", "deux", "trois"]);
  });

  test("a script without a session is told where to log in, not redirected", async () => {
    await page.goto(`${origin}/static/app.css`);
    const answer = await page.evaluate(async () => {
      const response = await fetch("/en-tetes.json", { headers: { Accept: "application/json" } });
      return { status: response.status, type: response.headers.get("content-type"), body: await response.json() };
    });
    assert.equal(answer.status, 401);
    assert.match(answer.type, /^application\/problem\+json/);
    assert.match(answer.body.login_url, /\/\.portillon\/login/);
  });

  test("two tabs opened before the login both arrive where they were going", async () => {
    const other = await context.newPage();
    await page.goto(`${origin}/dossiers/1`);
    await other.goto(`${origin}/dossiers/2`);
    await page.locator("button[value=zoe]").click();
    await page.waitForURL(`${origin}/dossiers/1`);
    await other.locator("button[value=zoe]").click();
    await other.waitForURL(`${origin}/dossiers/2`);
    const third = await context.newPage();
    await third.goto(`${origin}/dossiers/3`);
    assert.equal(third.url(), `${origin}/dossiers/3`, "one login serves every tab");
  });

  test("back after the login, and the callback asked for again, end on the page", async () => {
    const callbacks = [];
    page.on("request", (request) => request.url().includes("/.portillon/callback") && callbacks.push(request.url()));
    await login(page, `${origin}/dossiers/7`, "zoe");
    await page.waitForURL(`${origin}/dossiers/7`);
    await page.goBack();
    await page.goForward();
    await page.waitForURL(`${origin}/dossiers/7`);
    assert.equal(await page.locator("#who").textContent(), agents.zoe.claims.email);
    await page.goto(callbacks[0]);
    assert.ok(page.url().startsWith(origin));
    assert.doesNotMatch(page.url(), /callback/);
    assert.equal(await page.locator("#who, #email").first().textContent(), agents.zoe.claims.email);
  });

  test("me shows the agent, and its button logs out for good", async () => {
    await login(page, `${origin}/.portillon/me`, "zoe");
    await page.waitForURL(`${origin}/.portillon/me`);
    const text = await page.locator("main").innerText();
    assert.ok(text.includes(agents.zoe.claims.email), text);
    assert.ok(text.includes("Lefèvre-D’Aÿ"), text);
    await inspect(page, "me");

    await page.locator('form[action*="/.portillon/logout"] button').click();
    await page.waitForURL((url) => url.pathname === "/.portillon/signed-out");
    await inspect(page, "signed-out");
    assert.equal((await cookieNames()).filter((name) => name === "__Host-portillon").length, 0);

    const before = application.received.length;
    await page.goto(`${origin}/dossiers/8`);
    assert.ok(page.url().startsWith(provider.issuer), "not logged straight back in");
    assert.equal(application.received.length, before);
  });

  test("after the logout nothing of the application is shown", async () => {
    await login(page, `${origin}/dossiers/9`, "zoe");
    await page.waitForURL(`${origin}/dossiers/9`);
    await page.goto(`${origin}/.portillon/me`);
    await page.locator('form[action*="/.portillon/logout"] button').click();
    await page.waitForURL((url) => url.pathname === "/.portillon/signed-out");
    const before = application.received.length;
    for (const answer of [await page.goto(`${origin}/dossiers/9`), await page.reload()]) {
      assert.ok(!answer.url().startsWith(origin), answer.url());
      assert.equal(await page.locator("#who").count(), 0);
    }
    assert.equal(application.received.length, before);
  });

  test("the application's own logout ends the session too", async () => {
    await login(page, `${origin}/`, "zoe");
    await page.waitForURL(`${origin}/`);
    await page.goto(`${origin}/deconnexion`);
    await page.waitForURL((url) => url.pathname === "/.portillon/signed-out");
    assert.ok(application.received.some(({ url }) => url === "/deconnexion"), "the application heard it first");
    await page.goto(`${origin}/`);
    assert.ok(page.url().startsWith(provider.issuer));
  });

  async function cookieNames() {
    return (await context.cookies(origin)).map(({ name }) => name);
  }
});
