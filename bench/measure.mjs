// One measurement: wrk's load on one side, the process's own account in /proc on the other.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";

const CONNECTIONS = 64;
const TICKS = Number(execFileSync("getconf", ["CLK_TCK"]));

/** Loads the proxy for `seconds`; answers CPU µs a request, requests a second, p50 and p99 in ms. */
export async function measure(proxy, seconds) {
  const before = cpuSeconds(proxy.pid);
  const load = await wrk(proxy, seconds);
  const cpu = ((cpuSeconds(proxy.pid) - before) / load.requests) * 1e6;
  return { cpu, ...load };
}

/** CPU µs a request over all rounds. */
export function cpuOfAll(rounds) {
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  return sum(rounds.map(({ cpu, requests }) => cpu * requests)) / sum(rounds.map(({ requests }) => requests));
}

/** Memory of the process and its children in MB: VmRSS now, or VmHWM at its peak. */
export function memory(pid, field) {
  const kilobytes = family(pid).map((member) => {
    const line = readFileSync(`/proc/${member}/status`, "utf8").match(new RegExp(`^${field}:\\s+(\\d+)`, "m"));
    return Number(line?.[1] ?? 0);
  });
  return kilobytes.reduce((sum, value) => sum + value, 0) / 1024;
}

async function wrk(proxy, seconds) {
  const headers = Object.entries(proxy.headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const child = spawn("wrk", ["-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, "--latency", ...headers, `http://127.0.0.1:${proxy.port}/`]);
  const text = [];
  child.stdout.setEncoding("utf8").on("data", (chunk) => text.push(chunk));
  await once(child, "close");
  return parse(text.join(""));
}

function parse(report) {
  const [, requests] = report.match(/(\d+) requests in/) ?? [];
  if (!requests) throw new Error(`wrk says: ${report}`);
  const failed = report.match(/Non-2xx or 3xx responses: (\d+)/);
  if (failed) throw new Error(`${failed[1]} answers were not the application's`);
  const rate = Number(report.match(/Requests\/sec:\s+([\d.]+)/)[1]);
  return { requests: Number(requests), rate, p50: percentile(report, 50), p99: percentile(report, 99) };
}

function percentile(report, rank) {
  const [, value, unit] = report.match(new RegExp(`^\\s+${rank}%\\s+([\\d.]+)(us|ms|s)`, "m"));
  return Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit];
}

/** utime + stime of the process and its children, from /proc. */
function cpuSeconds(pid) {
  const ticks = family(pid).map((member) => {
    const [utime, stime] = stat(member).slice(11, 13).map(Number);
    return utime + stime;
  });
  return ticks.reduce((sum, value) => sum + value, 0) / TICKS;
}

// nginx works in a child process.
function family(pid) {
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return [pid, ...all.map(Number).filter((candidate) => parent(candidate) === pid)];
}

function parent(pid) {
  try {
    return Number(stat(pid)[1]);
  } catch {
    return undefined; // it ended while we looked
  }
}

// The fields after the command's name, which may hold spaces: state, ppid, …
function stat(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}
