// HTTP/2 between a real browser and the gateway, which ends TLS itself.

import assert from "node:assert/strict";
import { X509Certificate, createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { agents } from "./support/agents.js";
import { startApplication } from "./support/application.js";
import { endsWithLogout, login, newAgent, startBrowser } from "./support/browser.js";
import { freePort, startGateway } from "./support/gateway.js";
import { startProvider } from "./support/provider.js";

describe("over HTTP/2", () => {
  let application, browser, context, gateway, origin, page, provider;

  before(async () => {
    const port = await freePort();
    origin = `https://localhost:${port}`;
    [provider, application, browser] = await Promise.all([startProvider([origin]), startApplication(), startBrowser()]);
    gateway = await startGateway({
      port,
      issuer: provider.issuer,
      tls: ["localhost"],
      routes: `
[[route]]
name = "dossiers"
host = "localhost:${port}"
upstream = "${application.origin}"
`,
    });
  });
  after(async () => {
    await browser?.close();
    await Promise.all([gateway?.stop(), provider?.stop(), application?.stop()]);
  });
  beforeEach(async () => {
    context = await newAgent(browser, { ignoreHTTPSErrors: true });
    page = await context.newPage();
    await login(page, `${origin}/`, "zoe");
    await page.waitForURL(`${origin}/`);
  });
  afterEach(() => context.close());

  test("the browser chooses it, and the application learns who it is", async () => {
    const protocols = await page.evaluate(() => performance.getEntries().map(({ nextHopProtocol }) => nextHopProtocol).filter(Boolean));
    assert.deepEqual([...new Set(protocols)], ["h2"]);
    assert.equal(await page.locator("#email").textContent(), agents.zoe.claims.email);
    assert.ok(application.received.every(({ httpVersion }) => httpVersion === "1.1"));
  });

  test("a hundred requests at once are all answered", async () => {
    const answers = await page.evaluate(() => {
      const ask = (_, number) => fetch(`/dossiers/${number}`).then(async (answer) => [answer.status, (await answer.text()).includes(`/dossiers/${number}<`)]);
      return Promise.all(Array.from({ length: 100 }, ask));
    });
    assert.deepEqual(new Set(answers.map(String)), new Set(["200,true"]));
  });

  test("an upload of five megabytes arrives whole", async () => {
    const file = randomBytes(5_000_000);
    await page.goto(`${origin}/piece`);
    await page.locator("[name=objet]").fill("Étude");
    await page.locator("[name=piece]").setInputFiles({ name: "étude.bin", mimeType: "application/octet-stream", buffer: file });
    await page.locator("button").click();
    await page.locator("#digest").waitFor();
    assert.equal(await page.locator("#digest").textContent(), createHash("sha256").update(file).digest("hex"));
  });

  test("a logout ends the WebSocket and the event stream of another tab", async () => {
    await endsWithLogout(page);
  });
});

describe("two sites with one certificate", () => {
  let application, browser, gateway, paie, provider, rh;

  before(async () => {
    const port = await freePort();
    const names = ["paie.example.test", "rh.example.test"];
    const route = (name) => `[[route]]\nname = "${name.split(".")[0]}"\nhost = "${name}:${port}"\nupstream = "${application.origin}"\n`;
    [paie, rh] = names.map((name) => `https://${name}:${port}`);
    [provider, application] = await Promise.all([startProvider([paie, rh]), startApplication()]);
    gateway = await startGateway({ port, issuer: provider.issuer, tls: names, routes: names.map(route).join("") });
    browser = await startBrowser("--host-resolver-rules=MAP *.example.test 127.0.0.1", `--ignore-certificate-errors-spki-list=${await fingerprint(gateway)}`);
  });
  after(async () => {
    await browser?.close();
    await Promise.all([gateway?.stop(), provider?.stop(), application?.stop()]);
  });

  test("are told apart, and nobody notices that the browser took one's connection for the other", async () => {
    const page = await (await newAgent(browser)).newPage();
    await login(page, `${paie}/`, "zoe");
    await page.waitForURL(`${paie}/`);
    await page.goto(`${rh}/formulaire`);
    assert.equal(page.url(), `${rh}/formulaire`);
    await page.locator("[name=objet]").fill("Étude");
    await page.locator("button").click();
    assert.equal(await page.locator("#objet").textContent(), "Étude");
    assert.ok(gateway.log().includes('"reason":"misdirected"'), "the browser tried the connection that it had");
  });
});

/** What Chromium calls a certificate that it shall trust: the digest of its public key. */
async function fingerprint({ folder }) {
  const { publicKey } = new X509Certificate(await readFile(path.join(folder, "cert.pem")));
  return createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
}
