// Every page of ours that an agent can meet, in a real browser: its status, its language, what axe finds, how it looks.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { startApplication } from "./support/application.js";
import { inspect, login, newAgent, startBrowser } from "./support/browser.js";
import { freePort, startGateway } from "./support/gateway.js";
import { startProvider } from "./support/provider.js";

describe("our pages", () => {
  let application, browser, context, gateway, page, port, provider, thief;

  before(async () => {
    port = await freePort();
    const closed = await freePort();
    const eaten = await freePort();
    const hosts = {
      application: `localhost:${port}`,
      down: `panne.localhost:${port}`,
      shared: `partage.localhost:${port}`,
      eaten: `localhost:${eaten}`,
    };
    const origins = Object.values(hosts).map((host) => `http://${host}`);
    [provider, application, browser] = await Promise.all([startProvider(origins), startApplication(), startBrowser()]);
    gateway = await startGateway({ port, issuer: provider.issuer, routes: routes(hosts, application.origin, closed) });
    thief = await cookieThief(eaten, port);
  });
  after(async () => {
    await browser?.close();
    thief?.close();
    await Promise.all([gateway?.stop(), provider?.stop(), application?.stop()]);
  });
  beforeEach(async () => {
    context = await newAgent(browser);
    page = await context.newPage();
  });
  afterEach(() => context.close());

  test("login given up at the provider", async () => {
    const answer = await finalAnswer(async () => {
      await page.goto(`http://localhost:${port}/`);
      await page.getByText("Renoncer").click();
    });
    assert.ok(answer.status() >= 400, String(answer.status()));
    assert.ok(page.url().startsWith(`http://localhost:${port}/.portillon/callback`));
    await inspect(page, "login-failed");
  });

  test("the application is down", async () => {
    const answer = await finalAnswer(() => login(page, `http://panne.localhost:${port}/`, "zoe"));
    assert.equal(answer.status(), 502);
    await inspect(page, "upstream-unavailable");
  });

  test("an unknown site", async () => {
    await expectPage(`http://inconnu.localhost:${port}/`, 421, "unknown-site");
  });

  test("no application at this address", async () => {
    await expectPage(`http://partage.localhost:${port}/ailleurs`, 404, "no-route");
  });

  test("an ambiguous path where paths decide", async () => {
    await expectPage(`http://partage.localhost:${port}/dossiers/a%2fb`, 400, "ambiguous-path");
  });

  test("a form sent after the session ended", async () => {
    await page.goto(`http://localhost:${port}/static/app.css`);
    const before = application.received.length;
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.request().isNavigationRequest()),
      page.evaluate(() => {
        const form = Object.assign(document.createElement("form"), { method: "post", action: "/formulaire" });
        (document.body ?? document.documentElement).append(form);
        form.submit();
      }),
    ]);
    assert.equal(answer.status(), 401);
    // The answer is here before its page is: the style sheet that it replaces has no heading.
    await page.locator("h1").waitFor();
    await page.waitForLoadState();
    assert.equal(application.received.length, before, "not a byte reached the application");
    await inspect(page, "session-ended");
  });

  test("a browser whose cookies are lost meets a page, not a loop", async () => {
    const host = `http://localhost:${thief.address().port}`;
    let rounds = 0;
    page.on("request", (request) => (rounds += request.url().startsWith(`${provider.issuer}/authorize?`)));
    await login(page, `${host}/`, "zoe");
    await page.waitForLoadState();
    assert.ok(page.url().startsWith(host), page.url());
    assert.equal(rounds, 3);
    assert.match(await page.locator("main").innerText(), /cookies/);
    await inspect(page, "login-loop");
  });

  test("the provider is down before anything was learnt of it", async () => {
    const own = await freePort();
    const route = `[[route]]\nname = "seul"\nhost = "localhost:${own}"\nupstream = "${application.origin}"`;
    const alone = await startGateway({ port: own, issuer: `http://127.0.0.1:${await freePort()}/api/v2`, routes: route });
    try {
      await expectPage(`http://localhost:${own}/`, 503, "provider-unavailable");
    } finally {
      await alone.stop();
    }
  });

  test("English where the browser asks for it", async () => {
    const english = await newAgent(browser, { locale: "en-GB" });
    const other = await english.newPage();
    await other.goto(`http://inconnu.localhost:${port}/`);
    assert.equal(await other.locator("html").getAttribute("lang"), "en");
    await inspect(other, "unknown-site-english");
    await english.close();
  });

  test("our pages run under a strict policy and ask for nothing foreign", async () => {
    const foreign = [];
    page.on("request", (request) => !request.url().startsWith("http://inconnu.localhost") && foreign.push(request.url()));
    const answer = await page.goto(`http://inconnu.localhost:${port}/`);
    const headers = answer.headers();
    assert.match(headers["content-security-policy"], /default-src 'none'/);
    assert.match(headers["content-security-policy"], /frame-ancestors 'none'/);
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.match(headers["cache-control"], /no-store/);
    assert.deepEqual(foreign, []);
  });

  async function expectPage(url, status, name) {
    const answer = await page.goto(url);
    assert.equal(answer.status(), status);
    assert.equal(await page.locator("html").getAttribute("lang"), "fr");
    await inspect(page, name);
  }

  // The answer of the last document that `action` led to.
  async function finalAnswer(action) {
    let last;
    page.on("response", (response) => {
      if (response.request().isNavigationRequest()) last = response;
    });
    await action();
    await page.waitForLoadState();
    return last;
  }
});

function routes(hosts, upstream, closed) {
  return `
[[route]]
name = "dossiers"
host = "${hosts.application}"
upstream = "${upstream}"
contact = "support-dossiers@exemple.test"

  [[route.public]]
  path = "/static/"

[[route]]
name = "panne"
host = "${hosts.down}"
upstream = "http://127.0.0.1:${closed}"

[[route]]
name = "partage"
host = "${hosts.shared}"
path = "/dossiers/"
upstream = "${upstream}"

[[route]]
name = "gourmand"
host = "${hosts.eaten}"
upstream = "${upstream}"
`;
}

// A broken front end that eats cookies on their way to the gateway: the classic cause of a login loop.
async function cookieThief(port, gateway) {
  const server = http.createServer((request, response) => {
    const { cookie: _eaten, ...headers } = request.headers;
    const onward = http.request({ host: "127.0.0.1", port: gateway, path: request.url, method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}
