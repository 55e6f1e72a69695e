// Verifies what Portillon sends, in Node.js 18 or later, without any package.
//
//     node verify.mjs keys.txt request.http TAG ISSUER [NOW]
//
// `keys.txt` is what `portillon keys export` prints; `request.http` is the head of a request as the application got it.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import { pathToFileURL } from "node:url";

const INPUT = new RegExp(
  'portillon=(\\(("@method" "@authority" "@path" "@query"(?: "[a-z0-9-]+")*)\\)' +
    ';created=([0-9]+);expires=([0-9]+);keyid="([\\w-]+)";alg="[\\w-]+";nonce="[\\w-]+";tag="([^"\\\\]*)")',
);

/** Public keys by keyid. */
export function readKeys(exported) {
  const blocks = exported.matchAll(/^(?:ed25519|p256) (\S+) .*\n(-----BEGIN [^-]+-----[^-]+-----END [^-]+-----)/gm);
  return new Map([...blocks].map(([, keyid, pem]) => [keyid, crypto.createPublicKey(pem)]));
}

function check(key, signature, message) {
  assert(key, "unknown key");
  const hash = key.asymmetricKeyType === "ec" ? "sha256" : null; // Ed25519 hashes by itself
  const held = crypto.verify(hash, Buffer.from(message), { key, dsaEncoding: "ieee-p1363" }, signature);
  assert(held, "the signature does not hold");
}

/** The signed headers, decoded. `request` is a http.IncomingMessage. */
export function verifyRequest({ method, url, rawHeaders }, keys, tag, now) {
  const lines = Object.create(null);
  for (let at = 0; at < rawHeaders.length; at += 2) {
    (lines[rawHeaders[at].toLowerCase().replaceAll("_", "-")] ??= []).push(rawHeaders[at + 1].trim());
  }
  const single = (name) => (assert.equal(lines[name]?.length, 1, `${name} is not there once`), lines[name][0]);
  const [all, params, components, created, expires, keyid, signedTag] = INPUT.exec(single("signature-input")) ?? [];
  assert.equal(all, single("signature-input"), "not in the form of the gateway");
  const names = components.replaceAll('"', "").split(" ");
  assert.equal(new Set(names).size, names.length);
  const unsigned = Object.keys(lines).filter((name) => name.startsWith("x-agent-") && !names.includes(name));
  assert(unsigned.every((name) => name === "x-agent-assertion"), `not signed: ${unsigned}`);
  const [, path, query] = /^([^?]*)\??(.*)$/.exec(url);
  const derived = { "@method": method, "@authority": single("host").toLowerCase(), "@path": path || "/", "@query": `?${query}` };
  const base = names.map((name) => `"${name}": ${derived[name] ?? single(name)}\n`).join("") + `"@signature-params": ${params}`;
  check(keys.get(keyid), Buffer.from(single("signature").replace(/^portillon=:|:$/g, ""), "base64"), base);
  assert(signedTag === tag && created - 60 <= now && now < Number(expires) + 60, "for another application, or too late");
  return Object.fromEntries(names.slice(4).map((name) => [name, decodeURIComponent(single(name))]));
}

/** The claims of the JWT. */
export function verifyAssertion(token, keys, issuer, audience, now) {
  const [header, claims] = token.split(".", 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));
  assert(header.alg === "ES256" && header.typ === "JWT" && !("crit" in header), "not an assertion");
  const dot = token.lastIndexOf(".");
  check(keys.get(header.kid), Buffer.from(token.slice(dot + 1), "base64url"), token.slice(0, dot));
  assert(claims.iss === issuer && claims.aud === audience, "for another application");
  assert(claims.iat - 60 <= now && now < claims.exp + 60, "not in its time");
  return claims;
}

function main(keysFile, requestFile, tag, issuer, now = Date.now() / 1000) {
  const keys = readKeys(fs.readFileSync(keysFile, "ascii"));
  const [start, ...lines] = fs.readFileSync(requestFile, "ascii").split("\n\n")[0].trimEnd().split("\n");
  const [method, url] = start.split(" ");
  const rawHeaders = lines.flatMap((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]);
  const identity = verifyRequest({ method, url, rawHeaders }, keys, tag, Number(now));
  console.log(identity["x-agent-given-name"], identity["x-agent-usual-name"]);
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at].toLowerCase() !== "x-agent-assertion") continue;
    const claims = verifyAssertion(rawHeaders[at + 1].trim(), keys, issuer, tag, Number(now));
    assert.equal(claims.sid, identity["x-agent-session"], "the assertion is of another session");
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    main(...process.argv.slice(2));
  } catch (error) {
    console.error(`refused: ${error.message}`);
    process.exit(1);
  }
}
