// An OpenID provider set up as AgentConnect's is: the same software and version, the same routes under /api/v2, the
// same claims, levels, features and lifetimes. Only its storage (memory) and its login page are ours.

import { once } from "node:events";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import http from "node:http";

import Provider from "oidc-provider";

import { agents } from "./agents.js";

const MOUNT = "/api/v2";
const SESSION_COOKIE = "pc_session_id";
const TWELVE_HOURS = 12 * 3600;

const ACR_VALUES = [
  "eidas0",
  "eidas0-mfa",
  "eidas1",
  "eidas1-mfa",
  "eidas2",
  "eidas3",
  "https://proconnect.gouv.fr/assurance/certification-dirigeant",
];

const CLAIMS = {
  amr: ["amr"],
  openid: ["sub"],
  given_name: ["given_name"],
  usual_name: ["usual_name"],
  email: ["email"],
  uid: ["uid"],
  siret: ["siret"],
  siren: ["siren"],
  idp_id: ["idp_id"],
  idp_acr: ["idp_acr"],
  roles: ["roles"],
  phone: ["phone_number"],
  organizational_unit: ["organizational_unit"],
  organization_label: ["organization_label"],
  belonging_population: ["belonging_population"],
  chorusdt: ["chorusdt:matricule", "chorusdt:societe"],
  custom: ["custom"],
};

/**
 * The three combinations of algorithms that AgentConnect registers clients with.
 * Each `userinfo` is what the gateway's configuration says; "none" is a client registered without: plain JSON.
 */
export const registrations = {
  rs256: { client_id: "portillon-rs256", id_token: "RS256", userinfo: "RS256" },
  es256: { client_id: "portillon-es256", id_token: "ES256", userinfo: "ES256" },
  hs256: { client_id: "portillon-hs256", id_token: "HS256", userinfo: "none" },
};

/** Made up for this run; AgentConnect's are at least 32 characters long too. */
export const CLIENT_SECRET = `${randomUUID()}${randomUUID()}`;

/**
 * Starts the provider on a free loopback port.
 *
 * @param {string[]} origins where gateways answer, such as "http://localhost:8080"
 */
export async function startProvider(origins) {
  const server = http.createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const issuer = `http://127.0.0.1:${server.address().port}${MOUNT}`;
  const provider = quietly(() => new Provider(issuer, configuration(origins)));
  const sessions = new Map();
  server.on("request", (request, response) => {
    route(provider, sessions, request, response).catch((error) => {
      response.writeHead(error.statusCode ?? 500, { "Content-Type": "text/plain" }).end(String(error));
    });
  });
  return {
    issuer,
    /** Whether anybody is logged in at the provider. */
    get sessions() {
      return sessions.size;
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function configuration(origins) {
  return {
    acrValues: ACR_VALUES,
    claims: CLAIMS,
    scopes: ["openid"],
    subjectTypes: ["public"],
    responseTypes: ["code"],
    extraParams: ["idp_hint", "siret_hint"],
    clients: Object.values(registrations).map((registration) => client(registration, origins)),
    clientDefaults: {
      grant_types: ["authorization_code", "refresh_token"],
      id_token_signed_response_alg: "ES256",
      response_types: ["code"],
      token_endpoint_auth_method: "client_secret_post",
      application_type: "web",
    },
    tokenEndpointAuthMethods: ["client_secret_post", "private_key_jwt"],
    enabledJWA: {
      idTokenSigningAlgValues: ["ES256", "RS256", "HS256"],
      userinfoSigningAlgValues: ["ES256", "RS256", "HS256"],
      introspectionSigningAlgValues: ["ES256", "RS256", "HS256"],
      tokenEndpointAuthSigningAlgValues: ["ES256", "RS256"],
    },
    features: {
      backchannelLogout: { enabled: false },
      claimsParameter: { enabled: true },
      devInteractions: { enabled: false },
      encryption: { enabled: true },
      introspection: { enabled: true },
      jwtIntrospection: { enabled: true, ack: "draft-10" },
      jwtUserinfo: { enabled: true },
      resourceIndicators: { enabled: false },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource, postLogoutSuccessSource },
    },
    pkce: { methods: ["S256"], required: () => false },
    issueRefreshToken: () => true,
    loadExistingGrant,
    clientBasedCORS: () => false,
    renderError,
    findAccount: (_ctx, sub) => account(sub),
    interactions: { url: (_ctx, interaction) => `${MOUNT}/interaction/${interaction.uid}` },
    routes: {
      authorization: "/authorize",
      end_session: "/session/end",
      introspection: "/token/introspection",
      jwks: "/jwks",
      revocation: "/token/revocation",
      token: "/token",
      userinfo: "/userinfo",
    },
    ttl: { Grant: TWELVE_HOURS, Session: TWELVE_HOURS, RefreshToken: TWELVE_HOURS, AccessToken: 3600, AuthorizationCode: 600, IdToken: 3600, Interaction: 3600 },
    cookies: { keys: [randomUUID()] },
    jwks: { keys: [signingKey("rsa", { modulusLength: 2048 }, "RS256"), signingKey("ec", { namedCurve: "P-256" }, "ES256")] },
  };
}

function client({ client_id, id_token, userinfo }, origins) {
  return {
    client_id,
    client_secret: CLIENT_SECRET,
    redirect_uris: origins.map((origin) => `${origin}/.portillon/callback`),
    post_logout_redirect_uris: origins.map((origin) => `${origin}/.portillon/signed-out`),
    id_token_signed_response_alg: id_token,
    ...(userinfo === "none" ? {} : { userinfo_signed_response_alg: userinfo }),
    scope: Object.keys(CLAIMS).filter((scope) => scope !== "amr").join(" "),
  };
}

function signingKey(type, options, alg) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: "jwk" }), alg, use: "sig", kid: randomUUID() };
}

function account(sub) {
  const agent = Object.values(agents).find(({ claims }) => claims.sub === sub);
  return agent && { accountId: sub, claims: async () => agent.claims };
}

// No consent page: whatever a registered client asks for is granted.
async function loadExistingGrant(ctx) {
  const { client, session, params } = ctx.oidc;
  const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope);
  grant.addOIDCClaims(Object.values(ctx.oidc.claims).flatMap((wanted) => Object.keys(wanted ?? {})));
  await grant.save();
  return grant;
}

async function route(provider, sessions, request, response) {
  const url = new URL(request.url, "http://provider");
  if (!url.pathname.startsWith(`${MOUNT}/`)) return notFound(response);
  const path = url.pathname.slice(MOUNT.length);
  if (path === "/logout.js") return logoutScript(response);
  if (path.startsWith("/interaction/")) return interaction(provider, sessions, request, response);
  // AgentConnect routes GET alone.
  if (path === "/session/end" && request.method !== "GET") return notFound(response);
  if (path === "/authorize") forgetProviderSession(request, url);
  if (path === "/session/end/confirm") sessions.delete(cookie(request, SESSION_COOKIE));
  request.originalUrl = `${MOUNT}${path}${url.search}`;
  request.url = `${path}${url.search}`;
  return provider.callback()(request, response);
}

// AgentConnect's own session decides, never oidc-provider's: its cookies are dropped and the prompt is overwritten.
function forgetProviderSession(request, url) {
  if (url.searchParams.get("prompt") !== "none") url.searchParams.set("prompt", "login");
  const kept = (request.headers.cookie ?? "").split("; ").filter((pair) => !pair.startsWith("_"));
  request.headers.cookie = kept.join("; ");
}

async function interaction(provider, sessions, request, response) {
  const details = await provider.interactionDetails(request, response);
  const finish = (result) => provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  if (request.method === "POST") {
    const form = new URLSearchParams(await body(request));
    const agent = agents[form.get("agent")];
    if (!agent) return finish({ error: "access_denied", error_description: "user authentication aborted" });
    const level = form.has("code") ? agent.stronger : agent;
    const id = randomUUID();
    sessions.set(id, { agent, level });
    response.setHeader("Set-Cookie", `${SESSION_COOKIE}=${id}; Path=/; HttpOnly; SameSite=Lax`);
    return authenticated(agent, level);
  }
  const known = sessions.get(cookie(request, SESSION_COOKIE));
  return known ? authenticated(known.agent, known.level) : html(response, 200, loginPage());

  // Who has not the level that is asked for, and could have it, is asked for their second factor.
  function authenticated(agent, level) {
    if (admits(details, level)) return finish({ login: { accountId: agent.claims.sub, acr: level.acr, amr: level.amr } });
    if (agent.stronger && admits(details, agent.stronger)) return html(response, 200, secondFactorPage(agent));
    return finish({ error: "access_denied", error_description: "requested ACRs could not be satisfied" });
  }
}

// The levels asked for are matched by exact membership.
function admits(details, { acr }) {
  const wanted = JSON.parse(details.params.claims ?? "{}").id_token?.acr;
  const values = wanted?.values ?? (wanted?.value ? [wanted.value] : []);
  return !wanted?.essential || values.length === 0 || values.includes(acr);
}

function loginPage() {
  const button = ([name, { claims }]) =>
    `<p><button name="agent" value="${name}">${claims.given_name} ${claims.usual_name}</button></p>`;
  return page(
    "Se connecter",
    `<form method="post">${Object.entries(agents).map(button).join("")}<p><button name="agent" value="">Renoncer</button></p></form>`,
  );
}

function secondFactorPage(agent) {
  const [name] = Object.entries(agents).find(([, known]) => known === agent);
  return page(
    "Second facteur",
    `<form method="post"><input type="hidden" name="agent" value="${name}"><p><button name="code" value="123456">Entrer le code</button></p></form>
    <form method="post"><p><button name="agent" value="">Renoncer</button></p></form>`,
  );
}

async function logoutSource(ctx, form) {
  ctx.body = page(
    "Déconnexion",
    `${form}<noscript>Activez JavaScript pour vous déconnecter.</noscript><script src="${MOUNT}/logout.js"></script>`,
  );
}

async function postLogoutSuccessSource(ctx) {
  ctx.body = page("Vous êtes bien déconnecté", "");
}

async function renderError(ctx, out) {
  ctx.type = "html";
  ctx.body = page("Erreur", `<p>oidc-provider-rendered-error:${out.error}</p><p>${randomUUID()}</p><p>${out.error_description}</p>`);
}

function logoutScript(response) {
  response.writeHead(200, { "Content-Type": "text/javascript" }).end(`
    const form = document.getElementById("op.logoutForm");
    const yes = Object.assign(document.createElement("input"), { type: "hidden", name: "logout", value: "yes" });
    form.append(yes);
    form.submit();
  `);
}

function page(title, content) {
  return `<!doctype html><html lang="fr"><head><meta charset="utf-8"><title>${title}</title></head><body><main><h1>${title}</h1>${content}</main></body></html>`;
}

function html(response, status, text) {
  response.writeHead(status, { "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store" }).end(text);
}

function notFound(response) {
  html(response, 404, page("Introuvable", ""));
}

function cookie(request, name) {
  const pairs = (request.headers.cookie ?? "").split("; ").map((pair) => pair.split("="));
  return pairs.find(([key]) => key === name)?.[1];
}

async function body(request) {
  const chunks = await request.toArray();
  return Buffer.concat(chunks).toString();
}

// oidc-provider warns that its issuer is not https and its storage is memory: both are what a test wants.
function quietly(make) {
  const { warn, info } = console;
  console.warn = console.info = () => {};
  try {
    return make();
  } finally {
    Object.assign(console, { warn, info });
  }
}
