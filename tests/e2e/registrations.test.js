// One login in each of the three registrations, carried to the application, whose proofs are then verified.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import * as jose from "jose";

import { agents } from "./support/agents.js";
import { startApplication } from "./support/application.js";
import { Client } from "./support/client.js";
import { freePort, startGateway } from "./support/gateway.js";
import { registrations, startProvider } from "./support/provider.js";

describe("each registration of the provider", () => {
  let application, gateway, origin, port, provider;
  before(async () => {
    port = await freePort();
    origin = `http://localhost:${port}`;
    [provider, application] = await Promise.all([startProvider([origin]), startApplication()]);
  });
  after(() => Promise.all([provider?.stop(), application?.stop()]));

  for (const [name, registration] of Object.entries(registrations)) {
    test(`${name}: ID token ${registration.id_token}, userinfo ${registration.userinfo}`, async (t) => {
      const routes = `[[route]]\nname = "application"\nhost = "localhost:${port}"\nupstream = "${application.origin}"`;
      gateway = await startGateway({ port, issuer: provider.issuer, registration, routes });
      t.after(() => gateway.stop());

      const client = new Client();
      const page = await client.login(`${origin}/en-tetes.json`, "lucja");
      assert.equal(page.status, 200, page.body);
      const headers = fold(JSON.parse(page.body));

      const { claims } = agents.lucja;
      assert.equal(headers["x-agent-sub"], claims.sub);
      assert.equal(decodeURIComponent(headers["x-agent-usual-name"]), claims.usual_name);
      assert.equal(headers["x-agent-phone-number"], undefined, "an absent claim has no header");
      assert.equal(headers["x-agent-siren"], claims.siret.slice(0, 9), "derived");
      assert.match(headers["signature-input"], /^portillon=\(/);
      assert.doesNotMatch(headers.cookie ?? "", /__Host-portillon/);

      const keys = jose.createLocalJWKSet(JSON.parse((await client.request(`${origin}/.portillon/jwks.json`)).body));
      const { payload } = await jose.jwtVerify(headers["x-agent-assertion"], keys, { issuer: origin, audience: "application", algorithms: ["ES256"] });
      assert.equal(payload.sub, claims.sub);
      assert.equal(payload.sid, headers["x-agent-session"]);
    });
  }
});

// Header names in lower case; a name that came twice is an error, as nothing of ours may.
function fold(rawHeaders) {
  const headers = {};
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index].toLowerCase();
    assert.equal(headers[name], undefined, `${name} came twice`);
    headers[name] = rawHeaders[index + 1];
  }
  return headers;
}
