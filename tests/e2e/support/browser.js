// Debian's Chromium, driven for the tests; screenshots at two widths; axe on our pages.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SCREENSHOTS = fileURLToPath(new URL("../screenshots/", import.meta.url));
const WIDTHS = { desktop: { width: 1280, height: 800 }, phone: { width: 375, height: 667 } };

/** Starts the browser, with more `args`; CHROMIUM names another one than Debian's. */
export function startBrowser(...args) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", ...args],
    // Chromium's own sandbox refuses to run as root.
    chromiumSandbox: process.getuid() !== 0,
  });
}

/** A person's browser: its own cookies, French, and a limit on every wait. */
export async function newAgent(browser, options = {}) {
  const context = await browser.newContext({ locale: "fr-FR", viewport: WIDTHS.desktop, ...options });
  context.setDefaultTimeout(15_000);
  return context;
}

/** Opens `url` and logs the agent in at the provider. */
export async function login(page, url, agent) {
  await page.goto(url);
  await page.locator(`button[name=agent][value="${agent}"]`).click();
}

/** Keeps how the page looks on a desk and on a phone; answers how many pixels it is too wide at worst. */
export async function screenshot(page, name) {
  await mkdir(SCREENSHOTS, { recursive: true });
  const tooWide = [];
  for (const [device, size] of Object.entries(WIDTHS)) {
    await page.setViewportSize(size);
    await page.screenshot({ path: `${SCREENSHOTS}${name}-${device}.png`, fullPage: true });
    tooWide.push(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth));
  }
  await page.setViewportSize(WIDTHS.desktop);
  return Math.max(...tooWide);
}

/** What one of our own pages owes: nothing that axe finds, one heading, and no scrolling sideways. */
export async function inspect(page, name) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  const findings = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert.deepEqual(findings, [], `axe on ${name}`);
  assert.equal(await page.locator("h1").count(), 1, `${name} has one heading`);
  assert.ok((await screenshot(page, name)) <= 0, `${name} is too wide`);
}

/** The page's WebSocket and event stream end within a second, and two for a busy machine, of a logout in another tab. */
export async function endsWithLogout(page) {
  await page.evaluate(async () => {
    const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws");
    globalThis.socketClosed = new Promise((resolve) => socket.addEventListener("close", ({ code }) => resolve(code)));
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    const events = new EventSource("/evenements");
    globalThis.eventsEnded = new Promise((resolve) => events.addEventListener("error", resolve));
    await new Promise((resolve) => events.addEventListener("open", resolve));
  });
  const other = await page.context().newPage();
  await other.goto(new URL("/.portillon/me", page.url()).href);
  await other.locator('form[action*="/.portillon/logout"] button').click();
  const started = Date.now();
  assert.equal(await page.evaluate(() => globalThis.socketClosed), 1008);
  await page.evaluate(() => globalThis.eventsEnded.then(() => undefined));
  assert.ok(Date.now() - started < 3000, `${Date.now() - started} ms`);
}
