// What the store costs a request: the same gateway with either store, empty and full.

import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
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

/** How often all gateways are started: where its memory happens to lie makes one faster than its twin by a percent or two. */
const STARTS = 5;

/** Measures the gateway with each store, all at once, `rounds` times after each start; answers the rows of the table. */
export async function measureStores(upstream, { rounds, seconds, warmUp }) {
  const [empty, full, folder] = [await startRedis(), await startRedis(), await mkdtemp(path.join(tmpdir(), "portillon-bench-"))];
  const redis = ({ url }) => `kind = "redis"\nurl = "${url}"`;
  console.log("filling the stores");
  const rows = [
    ["embedded, empty", {}],
    [`embedded, ${FULL}`, { prepare: await filled(path.join(folder, "embedded")) }],
    ["Redis, empty", { store: redis(empty) }],
    [`Redis, ${FULL}`, { store: redis(full), prepare: await filled(path.join(folder, "redis"), full.url) }],
  ].map(([name, options]) => ({ name, options, rounds: [], memory: [], peak: [] }));
  for (let start = 1; start <= STARTS; start += 1) {
    console.log(`start ${start}`);
    for (const row of rows) row.proxy = await startPortillon(upstream.port, { sign: SIGN, ...row.options });
    for (const { proxy } of rows) await measure(proxy, warmUp);
    for (let round = 1; round <= rounds; round += 1) await measureAll(rows, seconds);
    for (const { proxy, memory: kept, peak } of rows) {
      kept.push(memory(proxy.pid, "VmRSS"));
      peak.push(memory(proxy.pid, "VmHWM"));
    }
    await Promise.all(rows.map(({ proxy }) => proxy.stop()));
  }
  await Promise.all([empty.stop(), full.stop(), rm(folder, { recursive: true, force: true })]);
  return rows;
}

/** All at once: whatever else the machine does meanwhile befalls each of them alike. */
async function measureAll(rows, seconds) {
  const results = await Promise.all(rows.map(({ proxy }) => measure(proxy, seconds)));
  for (const [index, { name, rounds }] of rows.entries()) {
    rounds.push(results[index]);
    console.log(`${name}: ${results[index].cpu.toFixed(1)} µs a request`);
  }
}

/** Fills a store once, `folder`'s own where no other is named; answers what gives a gateway the keys, and the file, of it. */
async function filled(folder, store = folder) {
  const binary = path.join(TARGET, process.env.BENCH_PROFILE, "examples", "fill_store");
  await mkdir(folder, { mode: 0o700 });
  await promisify(execFile)(binary, [path.join(folder, "keys"), store, String(ENDED), String(LIVE)]);
  return (gateway) => cp(folder, path.join(gateway, "state"), { recursive: true });
}

/** The part of bench/RESULTS.md about the store. */
export function storeResults(rows) {
  const of = ({ rounds }) => cpuOfAll(rounds);
  const ratio = (row) => of(row) / of(rows[0]);
  const line = (row) =>
    `| ${row.name} | ${of(row).toFixed(1)} | ${ratio(row).toFixed(2)} | ${perStart(row, rows[0])} | ${Math.max(...row.memory).toFixed(0)} | ${Math.max(...row.peak).toFixed(0)} |`;
  const goal = (row) => `| ${row.name} | ${GOAL} | ${ratio(row).toFixed(2)} | ${ratio(row) <= GOAL ? "reached" : "not reached"} |`;
  return `## The store

The gateway with \`sign = ${JSON.stringify(SIGN)}\`; beside the one whose store is an empty file.

| store | CPU µs a request | beside empty | start by start | MB after a run | peak MB |
|---|---:|---:|---|---:|---:|
${rows.map(line).join("\n")}

| to reach | at most | measured | |
|---|---:|---:|---|
${rows.slice(1).map(goal).join("\n")}

What was there was read when the gateway started, as after a restart. Ended sessions are in its memory; live ones are records of the store that
no request reads. All four serve at once, each a part of the load, so that they differ by their stores alone; and all are started ${STARTS} times, since the
same gateway beside itself differs by a percent or two from one start to the next. Requests come with one session's cookie.
`;
}

/** The ratio after each start. */
function perStart(row, beside) {
  const rounds = row.rounds.length / STARTS;
  const cpu = ({ rounds: all }, start) => cpuOfAll(all.slice(start * rounds, (start + 1) * rounds));
  return Array.from({ length: STARTS }, (_, start) => (cpu(row, start) / cpu(beside, start)).toFixed(2)).join(" ");
}
