// What the store costs a request: the same gateway with either store, empty and full.

import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";

import { measure, memory } from "./measure.mjs";
import { TARGET, startPortillon, startRedis } from "./proxies.mjs";

const ENDED = Number(process.env.BENCH_ENDED ?? 1_000_000);
const LIVE = Number(process.env.BENCH_LIVE ?? 100_000);
const SIGN = ["assertion"];
const FULL = `${ENDED.toLocaleString("en")} ended, ${LIVE.toLocaleString("en")} live`;

/** CPU with a store beside CPU with an empty file. */
const GOAL = 1.03;

/** Measures the gateway with each store in turn; answers the rows of the table. */
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
    // Whoever comes first in one round comes last in the next.
    for (const row of round % 2 ? rows : [...rows].reverse()) {
      const result = await measure(row.proxy, seconds);
      row.rounds.push(result);
      console.log(`round ${round}  ${row.name}: ${result.cpu.toFixed(1)} µs a request, ${Math.round(result.rate)} a second`);
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
export function storeResults(rows, median) {
  const of = (row) => median(row.rounds.map(({ cpu }) => cpu));
  const [none] = rows;
  // Two measurements of one round stand closest to each other.
  const ratio = (row) => median(row.rounds.map(({ cpu }, round) => cpu / none.rounds[round].cpu));
  const line = (row) =>
    `| ${row.name} | ${of(row).toFixed(1)} | ${ratio(row).toFixed(2)} | ${Math.round(median(row.rounds.map(({ rate }) => rate)))} | ${row.memory.toFixed(0)} | ${row.peak.toFixed(0)} |`;
  const goal = (row) => `| ${row.name} | ${GOAL} | ${ratio(row).toFixed(2)} | ${ratio(row) <= GOAL ? "reached" : "not reached"} |`;
  return `## The store

The gateway with \`sign = ${JSON.stringify(SIGN)}\`; beside the one whose store is an empty file.

| store | CPU µs a request | beside empty | requests/s | MB after the run | peak MB |
|---|---:|---:|---:|---:|---:|
${rows.map(line).join("\n")}

| to reach | at most | measured | |
|---|---:|---:|---|
${rows.slice(1).map(goal).join("\n")}

What was there was read when the gateway started, as after a restart. Ended sessions are in its memory; live ones are records of the store that
no request reads. The ratio is the median of the rounds' own. Requests come with one session's cookie.
`;
}
