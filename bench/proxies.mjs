// What is measured, and what stands behind it: the upstream, the two proxies without a login, and the gateway.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { startApplication } from "../tests/e2e/support/application.js";
import { adopt } from "../tests/e2e/support/children.js";
import { Client } from "../tests/e2e/support/client.js";
import { freePort, startGateway } from "../tests/e2e/support/gateway.js";
import { poll } from "../tests/e2e/support/poll.js";
import { startProvider } from "../tests/e2e/support/provider.js";

/** Worker threads of every contestant: the rest of a small machine is for the load and the upstream. */
export const THREADS = 1;

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** Where cargo builds. */
export const TARGET = process.env.CARGO_TARGET_DIR ?? path.join(ROOT, "target");
/** What the upstream answers. */
export const BODY = "ok\n".repeat(40);

/** nginx answering a small body from memory, over connections that stay open: what every proxy goes to. */
export async function startUpstream() {
  const port = await freePort();
  return startNginx(port, `server { listen 127.0.0.1:${port}; location / { return 200 "${BODY.replaceAll("\n", "\\n")}"; } }`);
}

/** nginx as a plain proxy. */
export async function startPlainNginx(upstream) {
  const port = await freePort();
  const pool = `upstream application { server 127.0.0.1:${upstream}; keepalive 256; keepalive_requests 100000000; }`;
  const proxy = `proxy_pass http://application; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;`;
  return startNginx(port, `${pool} server { listen 127.0.0.1:${port}; location / { ${proxy} } }`);
}

async function startNginx(port, servers) {
  const folder = await mkdtemp(path.join(tmpdir(), "portillon-bench-"));
  const file = path.join(folder, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`);
  await writeFile(
    file,
    `daemon off; worker_processes ${THREADS}; pid ${folder}/pid; error_log ${folder}/error.log; events { worker_connections 4096; }
     http { access_log off; keepalive_requests 100000000; keepalive_timeout 300s; ${temporary.join(" ")} ${servers} }`,
  );
  return started("nginx", ["-c", file, "-p", folder, "-e", `${folder}/error.log`], port, folder);
}

/** An empty Redis that keeps nothing on disk. */
export async function startRedis() {
  const port = await freePort();
  const child = adopt(spawn("redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], { stdio: "ignore" }));
  const ended = once(child, "exit");
  await poll("redis-server listens", () => isOpen(port));
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

function isOpen(port) {
  const socket = net.connect(port, "127.0.0.1");
  return Promise.race([once(socket, "connect").then(() => true), once(socket, "error").then(() => false)]).catch(() => false).finally(() => socket.destroy());
}

/** The bare pingora proxy; with `headers`, at the gateway's bytes. */
export async function startBarePingora(upstream, headers) {
  const port = await freePort();
  const folder = await mkdtemp(path.join(tmpdir(), "portillon-bench-"));
  const file = path.join(folder, "headers");
  if (headers) await writeFile(file, headers.map(([name, value]) => `${name}: ${value}\n`).join(""));
  const binary = path.join(TARGET, process.env.BENCH_PROFILE ?? "release", "examples", "bare_pingora");
  return started(binary, [`127.0.0.1:${port}`, `127.0.0.1:${upstream}`, String(THREADS), ...(headers ? [file] : [])], port, folder);
}

async function started(command, args, port, folder) {
  const child = adopt(spawn(command, args, { stdio: ["ignore", "ignore", "inherit"] }));
  const ended = once(child, "exit");
  await poll(`${path.basename(command)} listens`, () => {
    if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}`);
    return fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false);
  });
  return {
    pid: child.pid,
    port,
    headers: {},
    async stop() {
      // Both end at once on it, where pingora drains for minutes on SIGTERM.
      child.kill("SIGINT");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The gateway with a session of its own: `sign` as in a route, `log` as PORTILLON_LOG, `store` as in [store]. */
export async function startPortillon(upstream, options) {
  const { gateway, port, client, provider } = await loggedIn(`http://127.0.0.1:${upstream}`, options);
  return {
    pid: gateway.pid,
    port,
    admin: gateway.admin,
    folder: gateway.folder,
    headers: { Host: `localhost:${port}`, Cookie: client.cookieHeader(`http://localhost:${port}/`) },
    stop: () => Promise.all([gateway.stop(), provider.stop()]),
  };
}

/** The header fields that the gateway adds to a request, both proofs among them. */
export async function gatewayHeaders() {
  const application = await startApplication();
  const { gateway, port, client, provider } = await loggedIn(application.origin, { sign: ["request", "assertion"] });
  const { body } = await client.request(`http://localhost:${port}/en-tetes.json`);
  await Promise.all([gateway.stop(), provider.stop(), application.stop()]);
  const own = new Set(["host", "connection", "cookie"]);
  return pairs(JSON.parse(body)).filter(([name]) => !own.has(name.toLowerCase()));
}

async function loggedIn(upstream, { sign, log, store }) {
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  const provider = await startProvider([origin]);
  const routes = `[[route]]\nname = "bench"\nhost = "localhost:${port}"\nupstream = "${upstream}"\nsign = ${JSON.stringify(sign)}`;
  const environment = { TOKIO_WORKER_THREADS: String(THREADS), ...(log && { PORTILLON_LOG: log }) };
  const gateway = await startGateway({ port, issuer: provider.issuer, provider: store && `[store]\n${store}`, routes, environment, unheard: true });
  const client = new Client();
  const { status, url } = await client.login(`${origin}/`, "zoe");
  if (status !== 200) throw new Error(`no login: ${status} at ${url}`);
  return { gateway, port, client, provider };
}

function pairs(flat) {
  return flat.filter((_, index) => index % 2 === 0).map((name, index) => [name, flat[2 * index + 1]]);
}
