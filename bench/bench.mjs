// The run: every contestant in turn, many short rounds; then a million requests for the memory.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PROFILE = (process.env.BENCH_PROFILE ??= "release");
process.env.PORTILLON ??= path.join(process.env.CARGO_TARGET_DIR ?? path.join(ROOT, "target"), PROFILE, "portillon");

// Imported now that PORTILLON says which binary is measured.
const { BODY, THREADS, gatewayHeaders, startBarePingora, startPlainNginx, startPortillon, startUpstream } = await import("./proxies.mjs");
const { cpuOfAll, measure, memory } = await import("./measure.mjs");
const { measureStores, storeResults } = await import("./stores.mjs");

const SECONDS = Number(process.env.BENCH_SECONDS ?? 1);
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 25);
const REQUESTS = Number(process.env.BENCH_REQUESTS ?? 1_000_000);
const WARM_UP_SECONDS = 2;
const MEMORY_SECONDS = 10;
/** What is to be reached: CPU beside the fair floor and beside the plain bare proxy; memory in MB. */
const TARGETS = { assertionBesideFloor: 1.2, bothBesideFloor: 1.8, bothBesidePlain: 2.0, memory: 60 };

async function main() {
  const upstream = await startUpstream();
  if (process.env.BENCH_ONLY === "store") {
    const stores = await storePart(upstream);
    await upstream.stop();
    console.log(`\n${stores}`);
    return;
  }
  console.log("taking the gateway's own header bytes for the fair floor");
  const headers = await gatewayHeaders();
  const contestants = [
    ["nginx, plain proxy", () => startPlainNginx(upstream.port)],
    ["bare pingora, plain", () => startBarePingora(upstream.port)],
    ["bare pingora, same header bytes (fair floor)", () => fairFloor(upstream.port, headers)],
    ["portillon, sign = []", () => startPortillon(upstream.port, { sign: [] })],
    ['portillon, sign = ["assertion"]', () => startPortillon(upstream.port, { sign: ["assertion"] })],
    ['portillon, sign = ["request"]', () => startPortillon(upstream.port, { sign: ["request"] })],
    ["portillon, both", () => startPortillon(upstream.port, { sign: ["request", "assertion"] })],
    ["portillon, both, access log off", () => startPortillon(upstream.port, { sign: ["request", "assertion"], log: "warn" })],
  ];
  const rows = [];
  for (const [name, start] of contestants) rows.push({ name, proxy: await start(), rounds: [] });
  for (const { proxy } of rows) await measure(proxy, WARM_UP_SECONDS);
  for (let round = 1; round <= ROUNDS; round += 1) {
    // Whoever comes first in one round comes last in the next.
    for (const row of round % 2 ? rows : [...rows].reverse()) {
      const result = await measure(row.proxy, SECONDS);
      row.rounds.push(result);
      console.log(`round ${round}  ${row.name}: ${result.cpu.toFixed(1)} µs a request, ${Math.round(result.rate)} a second`);
    }
  }
  for (const row of rows) row.memory = memory(row.proxy.pid, "VmHWM");
  const growth = await memoryRun(rows.find(({ name }) => name === "portillon, both"));
  await Promise.all(rows.map(({ proxy }) => proxy.stop()));
  const stores = await storePart(upstream);
  await upstream.stop();
  const report = `${results(rows.map(summary), headers, growth, verdictTimes())}
${stores}`;
  writeFileSync(path.join(ROOT, "bench/RESULTS.md"), report);
  console.log(`\n${report}`);
}

async function storePart(upstream) {
  return storeResults(await measureStores(upstream, { rounds: ROUNDS, seconds: SECONDS, warmUp: WARM_UP_SECONDS }));
}

// The same bytes come in, cookie and all, as come to the gateway: of the length that a session has.
async function fairFloor(upstream, headers) {
  const gateway = await startPortillon(upstream, { sign: [] });
  await gateway.stop();
  const proxy = await startBarePingora(upstream, headers);
  return { ...proxy, headers: { ...gateway.headers } };
}

async function memoryRun({ proxy }) {
  const samples = [{ requests: 0, memory: memory(proxy.pid, "VmRSS") }];
  while (samples.at(-1).requests < REQUESTS) {
    const { requests } = await measure(proxy, MEMORY_SECONDS);
    samples.push({ requests: samples.at(-1).requests + requests, memory: memory(proxy.pid, "VmRSS") });
    console.log(`memory after ${samples.at(-1).requests} requests: ${samples.at(-1).memory.toFixed(1)} MB`);
  }
  return { samples, peak: memory(proxy.pid, "VmHWM") };
}

function summary({ name, rounds, memory: peak }) {
  const of = (field) => median(rounds.map((round) => round[field]));
  return { name, cpu: cpuOfAll(rounds), rate: of("rate"), p50: of("p50"), p99: of("p99"), peak };
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

function results(rows, headers, growth, verdictTimes) {
  const [, plain, floor] = rows;
  const line = (row) =>
    `| ${row.name} | ${row.cpu.toFixed(1)} | ${(row.cpu / plain.cpu).toFixed(2)} | ${(row.cpu / floor.cpu).toFixed(2)} | ${Math.round(row.rate)} | ${row.p50.toFixed(2)} | ${row.p99.toFixed(2)} | ${row.peak.toFixed(0)} |`;
  const bytes = headers.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0);
  return `# Results of \`make bench\`

Written by \`bench/run\`; ${machine()}.${PROFILE === "release" ? "" : ` **A ${PROFILE} build: no measurement.**`}

| | CPU µs a request | beside bare | beside the fair floor | requests/s | p50 ms | p99 ms | peak MB |
|---|---:|---:|---:|---:|---:|---:|---:|
${rows.map(line).join("\n")}

${verdicts(rows, growth)}

Memory of \`portillon, both\` over ${growth.samples.at(-1).requests} further requests: ${growth.samples.map((sample) => `${sample.memory.toFixed(1)}`).join(" → ")} MB, peak ${growth.peak.toFixed(1)} MB.

## Verdicts

${verdictTimes}

To look the route of a request up and to ask its ten blocks, each of which is looked at, in the last column in vain. To reach: under 1000 ns, and
as much with many routes and values as with few.

## Method

- All in one run on loopback; ${ROUNDS} rounds of ${SECONDS} s each, the contestants in turn, forth and back, so that what else the machine does
  befalls each of them alike. Ratios hold better than numbers: the load, the upstream and the proxy share the machine's cores.
- CPU a request is utime + stime of the process (and its children) from /proc over all rounds, by the requests that wrk counted; rates and
  latencies are medians of the rounds.
- wrk with one thread and 64 connections; ${THREADS} worker thread for every contestant; the upstream is nginx answering ${BODY.length} bytes over connections
  that stay open.
- The gateway has a real session, logged in at the provider of the end-to-end tests: an agent with accents, a telephone and a unit. Its access
  log is on, one line a request, to /dev/null, but where the row says otherwise; nginx and bare pingora write none.
- The fair floor is bare pingora with the same bytes in and out, and no work for them: the client sends the session's cookie, the proxy drops it
  and adds the ${headers.length} fields (${bytes} bytes) that the gateway with both proofs adds.
`;
}

// Nothing else runs by then.
function verdictTimes() {
  return execFileSync(path.join(path.dirname(process.env.PORTILLON), "examples", "verdict"), { encoding: "utf8" }).trim();
}

function verdicts(rows, growth) {
  const [, plain, floor] = rows;
  const of = (name) => rows.find((row) => row.name === name).cpu;
  const both = of("portillon, both");
  const goals = [
    ['`["assertion"]` beside the fair floor', of('portillon, sign = ["assertion"]') / floor.cpu, TARGETS.assertionBesideFloor],
    ["both proofs beside the fair floor", both / floor.cpu, TARGETS.bothBesideFloor],
    ["both proofs beside bare", both / plain.cpu, TARGETS.bothBesidePlain],
    ["peak memory in MB", growth.peak, TARGETS.memory],
  ];
  const line = ([name, value, goal]) => `| ${name} | ${goal} | ${value.toFixed(2)} | ${value <= goal ? "reached" : "not reached"} |`;
  return `| to reach | at most | measured | |\n|---|---:|---:|---|\n${goals.map(line).join("\n")}`;
}

function machine() {
  const model = readFileSync("/proc/cpuinfo", "utf8").match(/^model name\s*:\s*(.*)$/m)?.[1] ?? os.arch();
  const version = (command, ...args) => execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  const nginx = execFileSync("sh", ["-c", "nginx -v 2>&1"], { encoding: "utf8" }).trim().split("/").at(-1);
  const kernel = os.release().split("-")[0];
  return `${model}, ${os.cpus().length} cores, ${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${kernel}, ${version("rustc", "--version").split(" ").slice(0, 2).join(" ")}, nginx ${nginx}`;
}

await main();
