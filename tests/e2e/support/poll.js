// Waiting for a condition, never for a time.

import { setTimeout as pause } from "node:timers/promises";

/** Asks until `condition` answers true; fails by name after `seconds`. */
export async function poll(name, condition, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${seconds} s in vain: ${name}`);
    await pause(50);
  }
}
