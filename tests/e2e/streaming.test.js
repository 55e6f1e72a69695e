// A gibibyte each way through the gateway, which must pass it on as it comes: its memory does not notice.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { after, before, describe, test } from "node:test";

import { Client } from "./support/client.js";
import { freePort, startGateway } from "./support/gateway.js";
import { startProvider } from "./support/provider.js";

const GIBIBYTE = 1024 ** 3;
const CHUNK = Buffer.alloc(256 * 1024, "a");
/** Pipes and sockets have buffers, and allocators keep what was freed: a body of a gibibyte would not hide in this. */
const MARGIN_MB = 24;

describe("a gibibyte", () => {
  let application, client, gateway, origin, provider;
  before(async () => {
    const port = await freePort();
    origin = `http://localhost:${port}`;
    [provider, application] = await Promise.all([startProvider([origin]), startStore()]);
    const upstream = `http://127.0.0.1:${application.address().port}`;
    const routes = `[[route]]\nname = "store"\nhost = "localhost:${port}"\nupstream = "${upstream}"`;
    gateway = await startGateway({ port, issuer: provider.issuer, routes });
    client = new Client();
    assert.equal((await client.login(`${origin}/`, "zoe")).status, 200);
  });
  after(async () => {
    await Promise.all([gateway?.stop(), provider?.stop()]);
    application?.closeAllConnections();
    application?.close();
  });

  test("goes up in flat memory", async () => {
    const before = await peakMemory(gateway.pid);
    const request = start("/up", { method: "POST" });
    const answered = once(request, "response");
    for (let sent = 0; sent < GIBIBYTE; sent += CHUNK.length) {
      if (!request.write(CHUNK)) await once(request, "drain");
    }
    request.end();
    const [response] = await answered;
    assert.equal(await text(response), `${GIBIBYTE}`);
    await isFlat(before);
  });

  test("comes down in flat memory", async () => {
    const before = await peakMemory(gateway.pid);
    const [response] = await once(start("/down").end(), "response");
    let received = 0;
    for await (const chunk of response) received += chunk.length;
    assert.equal(received, GIBIBYTE);
    await isFlat(before);
  });

  function start(path, options = {}) {
    return http.request(`${origin}${path}`, { ...options, headers: { Cookie: client.cookieHeader(origin), Accept: "*/*" } });
  }

  async function isFlat(before) {
    const after = await peakMemory(gateway.pid);
    console.log(`peak memory of the gateway: ${before.toFixed(1)} MB before, ${after.toFixed(1)} MB after`);
    assert.ok(after < before + MARGIN_MB, `${before} MB became ${after} MB`);
  }
});

/** Takes and gives as much as one likes. */
async function startStore() {
  const server = http.createServer(async (request, response) => {
    if (request.url === "/down") return give(response);
    let length = 0;
    for await (const chunk of request) length += chunk.length;
    response.end(`${length}`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

async function give(response) {
  response.writeHead(200, { "Content-Type": "application/octet-stream", "Content-Length": GIBIBYTE });
  for (let sent = 0; sent < GIBIBYTE; sent += CHUNK.length) {
    if (!response.write(CHUNK)) await once(response, "drain");
  }
  response.end();
}

async function text(response) {
  let all = "";
  for await (const chunk of response) all += chunk;
  return all;
}

/** The most memory that the process ever had, in MB. */
async function peakMemory(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)[1]) / 1024;
}
