// Says how much JavaScript a first visit loads: the page's module and those that it imports, which the page names; and
// fails when that is more than it may be. Pages that are loaded when they are visited do not count.
import { readFileSync, statSync } from "node:fs";

const MOST = 120; // kB, gzipped
const dist = new URL("../dist/", import.meta.url);
const page = readFileSync(new URL("index.html", dist), "utf8");

/** The files that tags of the page name. */
function named(pattern) {
  return [...page.matchAll(pattern)].map(([tag]) => /(?:src|href)="\/([^"]+)"/.exec(tag)?.[1] ?? "");
}

/** kB as they are sent. */
function weight(files) {
  const size = (file) => {
    const whole = new URL(file, dist);
    return statSync(new URL(`${file}.gz`, dist), { throwIfNoEntry: false })?.size ?? statSync(whole).size;
  };
  return files.reduce((sum, file) => sum + size(file), 0) / 1000;
}

const scripts = named(/<script [^>]*src="[^>]*>|<link [^>]*rel="modulepreload"[^>]*>/g);
const styles = named(/<link [^>]*rel="stylesheet"[^>]*>/g);
if (scripts.length === 0) throw new Error("the page names no script");
const kilobytes = weight(scripts);
console.log(
  `web: a first visit loads ${kilobytes.toFixed(1)} kB of JavaScript (at most ${MOST}) and ${weight(styles).toFixed(1)} kB of styles, gzipped`,
);
if (kilobytes > MOST) process.exit(1);
