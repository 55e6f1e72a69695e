// A legacy application as one finds them: it believes the headers that its front end sets and knows no login of its own.

import { createHash } from "node:crypto";
import { once } from "node:events";
import http from "node:http";

import { WebSocketServer } from "ws";

/** Starts the application on a free loopback port. */
export async function startApplication() {
  const server = http.createServer();
  const events = new Set();
  const received = [];
  const sockets = new WebSocketServer({ noServer: true });
  server.on("request", (request, response) => {
    received.push(request);
    answer(request, response, events);
  });
  server.on("upgrade", (request, socket, head) => {
    received.push(request);
    sockets.handleUpgrade(request, socket, head, (webSocket) => converse(request, webSocket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    /** Every request that reached the application. */
    received,
    /** Sends one event to every open event stream. */
    announce: (text) => events.forEach((stream) => stream.write(`data: ${text}\n\n`)),
    /** Event streams open now. */
    get listening() {
      return events.size;
    },
    async stop() {
      sockets.clients.forEach((webSocket) => webSocket.terminate());
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function answer(request, response, events) {
  const url = new URL(request.url, "http://application");
  const pages = {
    "/": () => html(response, home(request)),
    "/formulaire": () => formPage(request, response),
    "/piece": () => attachmentPage(request, response),
    "/telecharger": () => download(response),
    "/evenements": () => listen(request, response, events),
    "/en-tetes.json": () => json(response, request.rawHeaders),
    "/deconnexion": () => html(response, page("Au revoir", "<p>Session de l’application fermée.</p>"), { "Set-Cookie": "application=; Path=/; Max-Age=0" }),
    "/static/app.css": () => response.writeHead(200, { "Content-Type": "text/css" }).end("body{font-family:sans-serif}"),
  };
  (pages[url.pathname] ?? (() => html(response, filePage(request, url))))();
}

/** What the application shows of an identity header: the gateway percent-encodes UTF-8. */
function claim(request, name) {
  return decodeURIComponent(request.headers[`x-agent-${name}`] ?? "");
}

function home(request) {
  const rows = ["given-name", "usual-name", "email", "uid", "organizational-unit", "phone-number"]
    .map((name) => `<tr><th scope="row">${name}</th><td id="${name}">${escape(claim(request, name))}</td></tr>`)
    .join("");
  return page(
    `Bonjour ${escape(claim(request, "given-name"))} ${escape(claim(request, "usual-name"))}`,
    `<table>${rows}</table><p><a href="/formulaire">Formulaire</a> <a href="/telecharger" download>Télécharger</a> <a href="/.portillon/me">Mon accès</a></p>`,
  );
}

// The deep link of the tests: the page says what it was asked for.
function filePage(request, url) {
  return page(`Dossier ${escape(url.pathname)}`, `<p id="target">${escape(request.url)}</p><p id="who">${escape(claim(request, "email"))}</p>`);
}

async function formPage(request, response) {
  if (request.method !== "POST") {
    return html(response, page("Formulaire", `<form method="post"><label>Objet <input name="objet"></label><button>Envoyer</button></form>`));
  }
  const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString());
  html(response, page("Reçu", `<p id="objet">${escape(form.get("objet"))}</p><p id="who">${escape(claim(request, "email"))}</p>`));
}

async function attachmentPage(request, response) {
  if (request.method !== "POST") {
    return html(response, page("Pièce", `<form method="post" enctype="multipart/form-data"><label>Objet <input name="objet"></label><label>Mot de passe <input name="mot_de_passe" type="password"></label><label>Pièce <input name="piece" type="file"></label><button>Envoyer</button></form>`));
  }
  const form = await new Response(Buffer.concat(await request.toArray()), { headers: request.headers }).formData();
  const file = Buffer.from(await form.get("piece").arrayBuffer());
  const digest = createHash("sha256").update(file).digest("hex");
  html(response, page("Reçue", `<p id="objet">${escape(form.get("objet"))}</p><p id="nom">${escape(form.get("piece").name)}</p><p id="digest">${digest}</p><p id="who">${escape(claim(request, "email"))}</p><a href="suite">Suite</a>`));
}

function download(response) {
  response.writeHead(200, {
    "Content-Type": "application/pdf",
    "Content-Disposition": "attachment; filename=\"releve.pdf\"; filename*=UTF-8''relev%C3%A9%20d%E2%80%99heures.pdf",
  });
  response.end("%PDF-1.4 relevé");
}

function listen(request, response, events) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  response.flushHeaders();
  events.add(response);
  request.on("close", () => events.delete(response));
}

function converse(request, webSocket) {
  webSocket.send(`bonjour ${claim(request, "email")}`);
  webSocket.on("message", (data, isBinary) => webSocket.send(data, { binary: isBinary }));
}

function page(title, content) {
  return `<!doctype html><html lang="fr"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><link rel="stylesheet" href="/static/app.css"></head><body><h1>${title}</h1>${content}</body></html>`;
}

function html(response, text, headers = {}) {
  response.writeHead(200, { "Content-Type": "text/html; charset=utf-8", ...headers }).end(text);
}

function json(response, value) {
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}

function escape(text) {
  return String(text).replace(/[&<>"]/g, (character) => `&#${character.codePointAt(0)};`);
}
