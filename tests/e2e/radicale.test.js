// Radicale, a calendar server in daily use, told to believe its front end about who is there: `http_x_remote_user`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { agents } from "./support/agents.js";
import { login, newAgent, screenshot, startBrowser } from "./support/browser.js";
import { adopt } from "./support/children.js";
import { Client } from "./support/client.js";
import { freePort, startGateway } from "./support/gateway.js";
import { poll } from "./support/poll.js";
import { startProvider } from "./support/provider.js";

const RADICALE = fileURLToPath(new URL("../../.venv/bin/radicale", import.meta.url));
const PRINCIPAL = `<?xml version="1.0"?><propfind xmlns="DAV:"><prop><current-user-principal/></prop></propfind>`;
const { email } = agents.zoe.claims;
const HOME = `/${encodeURIComponent(email)}/`;

describe("Radicale behind the gateway", () => {
  let browser, gateway, origin, provider, radicale;
  before(async () => {
    const port = await freePort();
    origin = `http://localhost:${port}`;
    [provider, radicale, browser] = await Promise.all([startProvider([origin]), startRadicale(), startBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await Promise.all([gateway?.stop(), provider?.stop(), radicale?.stop()]);
  });

  test("refuses a direct request without the header", async () => {
    const answer = await new Client().request(`${radicale.origin}/`, { method: "PROPFIND", headers: { Depth: "0" }, body: PRINCIPAL });
    assert.equal(answer.status, 403);
  });

  test("knows the agent by the header that the gateway sets", async () => {
    gateway = await startGateway({ port: Number(new URL(origin).port), issuer: provider.issuer, routes: routes(origin, radicale.origin) });
    const client = new Client();
    await client.login(`${origin}/.web/`, "zoe");
    const answer = await propfind(client);
    assert.equal(answer.status, 207, answer.body);
    assert.ok(answer.body.includes(HOME), answer.body);
  });

  test("never believes a header that the agent's machine sent", async () => {
    const client = new Client();
    await client.login(`${origin}/.web/`, "zoe");
    for (const name of ["X-Remote-User", "x_remote_user"]) {
      const answer = await propfind(client, { [name]: "directrice@numerique.test" });
      assert.ok(!answer.body.includes("directrice"), `${name}: ${answer.body}`);
    }
  });

  test("keeps an appointment for the agent", async () => {
    const client = new Client();
    await client.login(`${origin}/.web/`, "zoe");
    const calendar = `${origin}${HOME}agenda/`;
    assert.equal((await client.request(calendar, { method: "MKCALENDAR" })).status, 201);
    const event = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Portillon//e2e//FR", "BEGIN:VEVENT", "UID:1", "DTSTAMP:20260101T090000Z", "DTSTART:20260101T100000Z", "SUMMARY:Réunion d’été", "END:VEVENT", "END:VCALENDAR", ""].join("\r\n");
    const put = await client.request(`${calendar}1.ics`, { method: "PUT", headers: { "Content-Type": "text/calendar" }, body: event });
    assert.equal(put.status, 201, put.body);
    assert.ok((await client.request(`${calendar}1.ics`)).body.includes("Réunion d’été"));
  });

  test("opens in a browser, where its own form needs no password any more", async () => {
    const context = await newAgent(browser);
    const page = await context.newPage();
    await login(page, `${origin}/.web/`, "zoe");
    await page.waitForURL((url) => url.href.startsWith(`${origin}/.web`));
    await page.getByPlaceholder("Username").fill(email);
    await page.getByRole("button", { name: "Next" }).click();
    await page.getByText("agenda").first().waitFor();
    await screenshot(page, "radicale");
    await context.close();
  });

  function propfind(client, headers = {}) {
    return client.request(`${origin}/`, { method: "PROPFIND", headers: { Depth: "0", ...headers }, body: PRINCIPAL });
  }
});

function routes(origin, upstream) {
  return `
[[route]]
name = "agenda"
host = "${new URL(origin).host}"
upstream = "${upstream}"
headers = { "X-Remote-User" = "email" }
`;
}

async function startRadicale() {
  if (!existsSync(RADICALE)) throw new Error(`${RADICALE} is not there: run \`scripts/setup test\` first`);
  const folder = await mkdtemp(path.join(tmpdir(), "portillon-radicale-"));
  const port = await freePort();
  const file = path.join(folder, "config");
  await writeFile(
    file,
    `[server]\nhosts = 127.0.0.1:${port}\n[auth]\ntype = http_x_remote_user\n[storage]\nfilesystem_folder = ${folder}/collections\n[rights]\ntype = owner_only\n`,
  );
  const child = adopt(spawn(RADICALE, ["--config", file], { stdio: ["ignore", "ignore", "pipe"] }));
  const log = [];
  child.stderr.setEncoding("utf8").on("data", (text) => log.push(text));
  const ended = once(child, "exit");
  const origin = `http://127.0.0.1:${port}`;
  await poll("Radicale answers", async () => {
    if (child.exitCode !== null) throw new Error(log.join(""));
    return fetch(`${origin}/`, { redirect: "manual" }).then(() => true, () => false);
  });
  return {
    origin,
    async stop() {
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
