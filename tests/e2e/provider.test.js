// The provider of the other tests, proved alone: what it promises is what AgentConnect does.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";

import * as jose from "jose";

import { agents } from "./support/agents.js";
import { Client } from "./support/client.js";
import { CLIENT_SECRET, registrations, startProvider } from "./support/provider.js";

const ORIGIN = "http://localhost:1";
const CALLBACK = `${ORIGIN}/.portillon/callback`;

describe("the provider set up like AgentConnect's", () => {
  let provider;
  before(async () => (provider = await startProvider([ORIGIN])));
  after(() => provider.stop());

  test("publishes AgentConnect's metadata", async () => {
    const metadata = await json(`${provider.issuer}/.well-known/openid-configuration`);
    assert.equal(metadata.issuer, provider.issuer);
    assert.equal(metadata.authorization_endpoint, `${provider.issuer}/authorize`);
    assert.equal(metadata.end_session_endpoint, `${provider.issuer}/session/end`);
    assert.equal(metadata.authorization_response_iss_parameter_supported, true);
    assert.deepEqual(metadata.code_challenge_methods_supported, ["S256"]);
    assert.deepEqual(metadata.token_endpoint_auth_methods_supported, ["client_secret_post", "private_key_jwt"]);
    assert.deepEqual([...metadata.id_token_signing_alg_values_supported].sort(), ["ES256", "HS256", "RS256"]);
    assert.deepEqual([...metadata.userinfo_signing_alg_values_supported].sort(), ["ES256", "HS256", "RS256"]);
    assert.ok(metadata.acr_values_supported.includes("eidas1-mfa"));
  });

  for (const [name, registration] of Object.entries(registrations)) {
    test(`the authorization code flow of ${name}`, async () => {
      const client = new Client();
      const flow = authorization(provider, registration, { acr: null, amr: null });
      const code = (await comeBack(client, flow, "zoe")).get("code");
      const tokens = await redeem(provider, registration, code, flow.verifier);

      const { payload } = await verify(provider, tokens.id_token);
      assert.equal(payload.sub, agents.zoe.claims.sub);
      assert.equal(payload.nonce, flow.nonce);
      assert.equal(payload.acr, "eidas1-mfa");
      assert.deepEqual(payload.amr, ["pwd", "mail"]);
      assert.equal(payload.email, undefined, "identity claims are in userinfo only");
      assert.ok(tokens.refresh_token, "a refresh token always comes");

      const { type, claims } = await userinfo(provider, tokens.access_token);
      assert.match(type, registration.userinfo === "none" ? /^application\/json/ : /^application\/jwt/);
      assert.equal(claims.usual_name, agents.zoe.claims.usual_name);
      assert.equal(claims.sub, payload.sub);
    });
  }

  test("acr is matched by exact membership", async () => {
    const flow = authorization(provider, registrations.rs256, { acr: { essential: true, values: ["eidas2", "eidas3"] } });
    const answer = await comeBack(new Client(), flow, "zoe");
    assert.equal(answer.get("error"), "access_denied");
    assert.equal(answer.get("error_description"), "requested ACRs could not be satisfied");
    assert.equal(answer.get("iss"), provider.issuer);
  });

  test("a second login reuses the provider's session until logout", async () => {
    const client = new Client();
    const flow = authorization(provider, registrations.rs256, {});
    const tokens = await redeem(provider, registrations.rs256, (await comeBack(client, flow, "lucja")).get("code"), flow.verifier);
    assert.ok((await leave(client, authorization(provider, registrations.rs256, {}).url)).searchParams.get("code"));

    const end = new URL(`${provider.issuer}/session/end`);
    end.search = new URLSearchParams({ id_token_hint: tokens.id_token, post_logout_redirect_uri: `${ORIGIN}/.portillon/signed-out`, state: "s" });
    const form = await client.request(end.href);
    const xsrf = form.body.match(/name="xsrf" value="([^"]+)"/)[1];
    const confirmed = await client.request(`${provider.issuer}/session/end/confirm`, {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ xsrf, logout: "yes" }).toString(),
    });
    assert.equal(confirmed.location, `${ORIGIN}/.portillon/signed-out?state=s`);

    const asked = await client.request((await client.request(authorization(provider, registrations.rs256, {}).url)).location);
    assert.match(asked.body, /Se connecter/);
  });
});

function authorization(provider, registration, idTokenClaims) {
  const [nonce, state, verifier] = [0, 1, 2].map(() => randomBytes(32).toString("base64url"));
  const query = new URLSearchParams({
    response_type: "code",
    client_id: registration.client_id,
    redirect_uri: CALLBACK,
    scope: "openid given_name usual_name email uid siret idp_id",
    state,
    nonce,
    claims: JSON.stringify({ id_token: idTokenClaims }),
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  });
  return { url: `${provider.issuer}/authorize?${query}`, nonce, state, verifier };
}

// Follows the provider's redirects until it sends the browser back to the gateway, which does not run here.
async function leave(client, url, options) {
  let answer = await client.request(url, options);
  while (answer.location && !answer.location.startsWith(ORIGIN)) answer = await client.request(answer.location);
  return answer.location ? new URL(answer.location) : answer;
}

async function comeBack(client, flow, agent) {
  const asked = await leave(client, flow.url);
  const callback = await leave(client, asked.url, {
    method: "POST",
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: `agent=${agent}`,
  });
  assert.equal(callback.searchParams.get("state"), flow.state);
  return callback.searchParams;
}

async function redeem(provider, { client_id }, code, code_verifier) {
  const body = new URLSearchParams({ grant_type: "authorization_code", client_id, client_secret: CLIENT_SECRET, redirect_uri: CALLBACK, code, code_verifier });
  return json(`${provider.issuer}/token`, { method: "POST", body });
}

async function verify(provider, token) {
  const { alg } = jose.decodeProtectedHeader(token);
  const key = alg === "HS256" ? new TextEncoder().encode(CLIENT_SECRET) : jose.createRemoteJWKSet(new URL(`${provider.issuer}/jwks`));
  return jose.jwtVerify(token, key, { issuer: provider.issuer });
}

async function userinfo(provider, token) {
  const answer = await fetch(`${provider.issuer}/userinfo`, { headers: { Authorization: `Bearer ${token}` } });
  const type = answer.headers.get("content-type");
  const claims = type.startsWith("application/jwt") ? (await verify(provider, await answer.text())).payload : await answer.json();
  return { type, claims };
}

async function json(url, options) {
  const answer = await fetch(url, options);
  assert.ok(answer.ok, `${url}: ${answer.status} ${answer.ok ? "" : await answer.text()}`);
  return answer.json();
}
