// No process outlives the run that started it, however that run ends.

const children = new Set();

process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));

/** Ends the child with this process, if it has not ended before. */
export function adopt(child) {
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}
