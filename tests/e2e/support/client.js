// A small HTTP client with a cookie jar per host and no mind of its own: it shows every hop of a journey.

import http from "node:http";

/** What a browser sends with a click on a link; a login is made for such requests alone. */
export const NAVIGATION = {
  Accept: "text/html,application/xhtml+xml",
  "Sec-Fetch-Dest": "document",
  "Sec-Fetch-Mode": "navigate",
  "Sec-Fetch-Site": "none",
  "Sec-Fetch-User": "?1",
};

export class Client {
  #jar = new Map();

  /** One request, no redirect followed; answers { status, headers, body, location }. */
  async request(url, { method = "GET", headers = {}, body } = {}) {
    const target = new URL(url);
    const cookies = this.#cookies(target.hostname);
    const answer = await send(target, method, { ...headers, ...(cookies && { Cookie: cookies }) }, body);
    this.#keep(target.hostname, answer.headers["set-cookie"] ?? []);
    const { location } = answer.headers;
    return { ...answer, url, location: location && new URL(location, url).href };
  }

  /** Follows redirects as a browser does, and answers the last hop with the list of all. */
  async navigate(url, options = {}) {
    const hops = [];
    let answer = await this.request(url, { ...options, headers: { ...NAVIGATION, ...options.headers } });
    hops.push(answer);
    while (answer.location && answer.status < 400) {
      if (hops.length > 20) throw new Error(`a redirect loop: ${hops.map((hop) => hop.url).join(" → ")}`);
      answer = await this.request(answer.location, { headers: NAVIGATION });
      hops.push(answer);
    }
    return { ...answer, hops };
  }

  /** Opens the page, logs the agent in where the provider asks, and answers the page reached. */
  async login(url, agent) {
    const asked = await this.navigate(url);
    if (!new URL(asked.url).pathname.includes("/interaction/")) return asked;
    return this.navigate(asked.url, {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ agent }).toString(),
    });
  }

  /** The Cookie header for that host, for tools that take one. */
  cookieHeader(url) {
    return this.#cookies(new URL(url).hostname);
  }

  #cookies(host) {
    return [...(this.#jar.get(host) ?? [])].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  #keep(host, setCookies) {
    const jar = this.#jar.get(host) ?? new Map();
    this.#jar.set(host, jar);
    for (const line of setCookies) {
      const [pair, ...attributes] = line.split(";").map((part) => part.trim());
      const [name, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
      if (attributes.some(isPast)) jar.delete(name);
      else jar.set(name, value);
    }
  }
}

function isPast(attribute) {
  const [name, value = ""] = attribute.split("=");
  if (name.toLowerCase() === "max-age") return Number(value) <= 0;
  return name.toLowerCase() === "expires" && Date.parse(value) <= Date.now();
}

// Every name ends on loopback, so that `agenda.localhost` needs no resolver.
function send(target, method, headers, body) {
  const options = { host: "127.0.0.1", port: target.port, path: target.pathname + target.search, method, headers: { Host: target.host, ...headers }, agent: false };
  return new Promise((resolve, reject) => {
    const request = http.request(options, async (response) => {
      const chunks = await response.toArray().catch(reject);
      resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks ?? []).toString() });
    });
    request.on("error", reject);
    request.end(body);
  });
}
