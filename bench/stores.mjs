// What the store costs a request: the same gateway with either store, empty and full.

import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";

import { cpuOfAll, measure, memory } from "./measure.mjs";
import { TARGET, startPortillon, startRedis } from "./proxies.mjs";

const ENDED = Number(process.env.BENCH_ENDED ?? 1_000_000);
const LIVE = Number(process.env.BENCH_LIVE ?? 100_000);
const SIGN = ["assertion"];
const FULL = `${ENDED.toLocaleString("en")} ended, ${LIVE.toLocaleString("en")} live`;

/** CPU with a store beside CPU with an empty file. */
const GOAL = 1.03;

/** Measures the gateway with each store, all at once; answers the rows of the table. */
export async function measureStores(upstream, { rounds, seconds, warmUp }) {
  const empty = await startRedis();
  const full = await startRedis();
  const redis = ({ url }) => `kind = "redis"\nurl = "${url}"`;
  const contestants = [
    ["embedded, empty", {}],
    [`embedded, ${FULL}`, { prepare: (folder) => fill(folder, path.join(folder, "state")) }],
    ["Redis, empty", { store: redis(empty) }],
    [`Redis, ${FULL}`, { store: redis(full), prepare: (folder) => fill(folder, full.url) }],
  ];
  const rows = [];
  for (const [name, options] of contestants) {
    console.log(`starting the gateway with its store: ${name}`);
    rows.push({ name, proxy: await startPortillon(upstream.port, { sign: SIGN, ...options }), rounds: [] });
  }
  for (const { proxy } of rows) await measure(proxy, warmUp);
  for (let round = 1; round <= rounds; round += 1) {
    // All at once: whatever else the machine does meanwhile befalls each of them alike.
    const results = await Promise.all(rows.map(({ proxy }) => measure(proxy, seconds)));
    for (const [index, { name, rounds }] of rows.entries()) {
      rounds.push(results[index]);
      console.log(`round ${round}  ${name}: ${results[index].cpu.toFixed(1)} µs a request`);
    }
  }
  for (const row of rows) Object.assign(row, { memory: memory(row.proxy.pid, "VmRSS"), peak: memory(row.proxy.pid, "VmHWM") });
  await Promise.all([...rows.map(({ proxy }) => proxy.stop()), empty.stop(), full.stop()]);
  return rows;
}

async function fill(folder, store) {
  const binary = path.join(TARGET, process.env.BENCH_PROFILE, "examples", "fill_store");
  await promisify(execFile)(binary, [path.join(folder, "state", "keys"), store, String(ENDED), String(LIVE)]);
}

/** The part of bench/RESULTS.md about the store. */
export function storeResults(rows) {
  const of = ({ rounds }) => cpuOfAll(rounds);
  const ratio = (row) => of(row) / of(rows[0]);
  const line = (row) =>
    `| ${row.name} | ${of(row).toFixed(1)} | ${ratio(row).toFixed(2)} | ${row.memory.toFixed(0)} | ${row.peak.toFixed(0)} |`;
  const goal = (row) => `| ${row.name} | ${GOAL} | ${ratio(row).toFixed(2)} | ${ratio(row) <= GOAL ? "reached" : "not reached"} |`;
  return `## The store

The gateway with \`sign = ${JSON.stringify(SIGN)}\`; beside the one whose store is an empty file.

| store | CPU µs a request | beside empty | MB after the run | peak MB |
|---|---:|---:|---:|---:|
${rows.map(line).join("\n")}

| to reach | at most | measured | |
|---|---:|---:|---|
${rows.slice(1).map(goal).join("\n")}

What was there was read when the gateway started, as after a restart. Ended sessions are in its memory; live ones are records of the store that
no request reads. All four serve at once, each a part of the load, so that they differ by their stores alone. Requests come with one session's cookie.
`;
}
