// What a full store costs a request: the same gateways before and after it fills.

import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";

import { poll } from "../tests/e2e/support/poll.js";
import { cpuOfAll, measure, memory } from "./measure.mjs";
import { TARGET, startPortillon, startRedis } from "./proxies.mjs";

const ENDED = Number(process.env.BENCH_ENDED ?? 1_000_000);
const LIVE = Number(process.env.BENCH_LIVE ?? 100_000);
const SIGN = ["assertion"];
const FULL = `${ENDED.toLocaleString("en")} ended, ${LIVE.toLocaleString("en")} live`;

/** CPU with a full store beside CPU with an empty one, and with Redis beside a file. */
const GOAL = 1.03;

/** How often all of it is done, from the start. */
const STARTS = 3;

/** Measures four gateways, two of each store, before and after the store of one of the two fills; answers what came of it. */
export async function measureStores(upstream, { rounds, seconds, warmUp }) {
  const rows = ["embedded", "Redis"].flatMap((kind) => [
    { kind, name: kind, fills: false },
    { kind, name: `${kind}, filled`, fills: true },
  ]);
  for (const row of rows) Object.assign(row, { before: [], after: [], empty: [], full: [], peak: [] });
  for (let start = 1; start <= STARTS; start += 1) {
    const servers = [];
    // Whoever started first starts last the next time.
    for (const row of start % 2 ? rows : [...rows].reverse()) {
      row.redis = row.kind === "Redis" ? await startRedis() : undefined;
      if (row.redis) servers.push(row.redis);
      row.proxy = await startPortillon(upstream.port, { sign: SIGN, store: row.redis && `kind = "redis"\nurl = "${row.redis.url}"` });
    }
    for (const { proxy } of rows) await measure(proxy, warmUp);
    for (const row of rows) row.empty.push(memory(row.proxy.pid, "VmRSS"));
    console.log(`start ${start}: before`);
    await measureAll(rows, "before", rounds, seconds);
    console.log(`start ${start}: filling`);
    for (const row of rows.filter(({ fills }) => fills)) await fill(row);
    for (const { proxy } of rows) await measure(proxy, warmUp);
    console.log(`start ${start}: after`);
    await measureAll(rows, "after", rounds, seconds);
    for (const row of rows) {
      row.full.push(memory(row.proxy.pid, "VmRSS"));
      row.peak.push(memory(row.proxy.pid, "VmHWM"));
    }
    await Promise.all(rows.map(({ proxy }) => proxy.stop()));
    await Promise.all(servers.map((server) => server.stop()));
  }
  return rows;
}

/** All at once: whatever else the machine does meanwhile befalls each of them alike. */
async function measureAll(rows, phase, rounds, seconds) {
  for (let round = 1; round <= rounds; round += 1) {
    const results = await Promise.all(rows.map(({ proxy }) => measure(proxy, seconds)));
    for (const [index, row] of rows.entries()) row[phase].push(results[index]);
  }
  for (const row of rows) console.log(`  ${row.name}: ${cpuOfAll(row[phase].slice(-rounds)).toFixed(1)} µs a request`);
}

/** Ends and begins sessions as other gateways of the group do, and waits until this one knows. */
async function fill({ proxy, redis }) {
  const binary = path.join(TARGET, process.env.BENCH_PROFILE, "examples", "fill_store");
  const state = path.join(proxy.folder, "state");
  await promisify(execFile)(binary, [path.join(state, "keys"), redis?.url ?? state, String(ENDED), String(LIVE)]);
  await poll("the gateway knows who is gone", async () => (await known(proxy)) >= ENDED);
}

async function known({ admin }) {
  const metrics = await (await fetch(`${admin}/metrics`)).text();
  return Number(metrics.match(/^portillon_ended_sessions (\d+)$/m)?.[1]);
}

/** The part of bench/RESULTS.md about the store. */
export function storeResults(rows) {
  const [embedded, embeddedFull, redis, redisFull] = rows;
  const most = (values) => Math.max(...values).toFixed(0);
  const line = (row) =>
    `| ${row.name} | ${cpuOfAll(row.before).toFixed(1)} | ${cpuOfAll(row.after).toFixed(1)} | ${most(row.empty)} | ${most(row.full)} | ${most(row.peak)} |`;
  const ratios = [
    [`embedded, ${FULL}`, change(embeddedFull, embedded)],
    [`Redis, ${FULL}`, change(redisFull, redis)],
    ["Redis beside embedded, both empty", cpuOfAll(both(redis, redisFull)) / cpuOfAll(both(embedded, embeddedFull))],
  ];
  const goal = ([name, ratio]) => `| ${name} | ${GOAL} | ${ratio.toFixed(3)} | ${ratio <= GOAL ? "reached" : "not reached"} |`;
  return `## The store

Four gateways with \`sign = ${JSON.stringify(SIGN)}\` and an empty store; then the stores of two of them fill, with ${FULL}.

| store | CPU µs a request, before | after | MB before | MB after | peak MB |
|---|---:|---:|---:|---:|---:|
${rows.map(line).join("\n")}

| to reach | at most | measured | |
|---|---:|---:|---|
${ratios.map(goal).join("\n")}

A gateway differs from its twin by some percent from one start to the next, and the machine from one minute to the next. So each is held
against itself, after beside before, and that against the twin whose store stayed empty meanwhile. All four serve at once, each a part of the
load; ${STARTS} starts. Another process fills the stores, as other gateways of a group do. Ended sessions are in the gateway's memory; live ones are
records that no request reads. Requests come with one session's cookie.
`;
}

/** After beside before, beside what became of its twin. */
function change(row, twin) {
  const change = ({ before, after }) => cpuOfAll(after) / cpuOfAll(before);
  return change(row) / change(twin);
}

function both(row, twin) {
  return [...row.before, ...twin.before];
}
