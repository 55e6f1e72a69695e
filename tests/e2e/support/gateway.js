// Starts the gateway's own binary with a configuration made for the test, and ends it.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { adopt } from "./children.js";
import { poll } from "./poll.js";
import { CLIENT_SECRET, registrations } from "./provider.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const BINARY = process.env.PORTILLON ?? path.join(process.env.CARGO_TARGET_DIR ?? path.join(ROOT, "target"), "debug", "portillon");

/** A loopback port that nobody listens on now. */
export async function freePort() {
  const server = net.createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/**
 * Starts the gateway and waits until it is ready.
 *
 * @param {object} site
 * @param {number} site.port where it listens
 * @param {string} site.issuer the provider
 * @param {object} [site.registration] one of `registrations`
 * @param {string[]} [site.scope] more scopes to ask for
 * @param {string} [site.provider] more lines of [provider]
 * @param {string} site.routes the [[route]] tables
 * @param {string[]} [site.tls] speak TLS, with a certificate for these names that nobody vouches for
 * @param {object} [site.environment] more variables of its environment
 * @param {(folder: string) => Promise<void>} [site.prepare] does what must be done in its folder before it starts
 * @param {boolean} [site.unheard] drop what it writes instead of keeping it
 */
export async function startGateway(site) {
  if (!existsSync(BINARY)) throw new Error(`${BINARY} is not there: run \`cargo build\` first`);
  const folder = await mkdtemp(path.join(tmpdir(), "portillon-e2e-"));
  const admin = await freePort();
  const file = path.join(folder, "portillon.toml");
  await mkdir(path.join(folder, "state"), { mode: 0o700 });
  await writeFile(file, configuration(site, folder, admin), { mode: 0o600 });

  if (site.tls) await makeCertificate(folder, site.tls);
  await site.prepare?.(folder);
  const output = site.unheard ? "ignore" : "pipe";
  const child = adopt(spawn(BINARY, ["run", "--config", file], { stdio: ["ignore", output, output], env: { ...process.env, ...site.environment } }));
  const log = [];
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (text) => log.push(text));
  const ended = once(child, "exit");
  const gateway = {
    pid: child.pid,
    /** Where its configuration and its state are. */
    folder,
    admin: `http://127.0.0.1:${admin}`,
    /** Everything that the gateway wrote. */
    log: () => log.join(""),
    async stop() {
      if (child.exitCode === null) child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await ended;
      clearTimeout(late);
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    await poll("the gateway is ready", async () => {
      if (child.exitCode !== null) throw new Error(`the gateway ended with ${child.exitCode}`);
      return fetch(`${gateway.admin}/readyz`).then(({ ok }) => ok, () => false);
    });
  } catch (error) {
    await gateway.stop();
    throw new Error(`${error.message}\n${gateway.log()}`);
  }
  return gateway;
}

async function makeCertificate(folder, hosts) {
  const files = ["-keyout", path.join(folder, "key.pem"), "-out", path.join(folder, "cert.pem")];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const names = ["-subj", "/CN=gateway", "-addext", `subjectAltName=${hosts.map((host) => `DNS:${host}`).join(",")}`];
  await promisify(execFile)("openssl", ["req", "-x509", "-days", "1", ...key, ...names, ...files]);
}

function configuration({ port, issuer, registration = registrations.rs256, scope = [], provider = "", routes, tls }, folder, admin) {
  const scopes = ["openid", "given_name", "usual_name", "email", "uid", "siret", "idp_id", "phone", "organizational_unit", "belonging_population", "roles", ...scope];
  return `
[server]
listen = ["127.0.0.1:${port}"]
external_scheme = "${tls ? "https" : "http"}"
state_dir = "${folder}/state"
keys_dir = "${folder}/state/keys"
${tls ? `[server.tls]\ncertificates = [{ cert = "${folder}/cert.pem", key = "${folder}/key.pem" }]` : ""}

[admin]
listen = ["127.0.0.1:${admin}"]

[provider]
preset = "agentconnect"
issuer = "${issuer}"
client_id = "${registration.client_id}"
client_secret = { value = "${CLIENT_SECRET}" }
id_token_signed_response_alg = "${registration.id_token}"
userinfo_signed_response_alg = "${registration.userinfo}"
scope = ${JSON.stringify(scopes)}
${provider}
${routes}
`;
}
