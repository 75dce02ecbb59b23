// What reports that follow each other say together.
import type { CacheCount, Report, Service } from "./report";

/** What is drawn of a report. */
export interface Point {
  /** Milliseconds of Unix time. */
  time: number;
  /** Streams from the gateway to readers. */
  streams: number;
  /** Jobs and replies that wait. */
  waiting: number;
  /** Of what was asked of caches since the report before, the share that was there; undefined: nothing was asked. */
  share: number | undefined;
}

/** What was asked of one process's cache about one kind, and how much of it was there. */
export interface Share {
  key: string;
  service: string;
  kind: string;
  /** Since the process started. */
  all: Tally;
  /** Since the report before. */
  lately: Tally;
}

export interface Tally {
  asked: number;
  /** 0 to 1; undefined: nothing was asked. */
  share: number | undefined;
  near: number | undefined;
}

/** For how long reports are drawn. */
export const KEPT_SECONDS = 120;
/** However often they come. */
const MOST = 240;
/** The cache itself counts as well what its callers do; each question is counted once. */
const CACHE = "cache";

function tally(hits: number, misses: number, near: number): Tally {
  const asked = hits + misses;
  return { asked, share: asked ? hits / asked : undefined, near: asked ? near / asked : undefined };
}

function countOf(service: Service | undefined, kind: string): CacheCount | undefined {
  return service?.caches.find((count) => count.kind === kind);
}

/** The shares of all processes' caches, by process and kind. What a process counted before it ended does not count. */
export function shares(now: Report, before: Report | undefined): readonly Share[] {
  return now.services.flatMap((service) => {
    const earlier = before?.services.find((one) => one.key === service.key);
    return service.caches.map((count): Share => {
      const then = countOf(earlier, count.kind) ?? { kind: count.kind, hits: 0, misses: 0, near: 0 };
      const lately = before
        ? tally(count.hits - then.hits, count.misses - then.misses, count.near - then.near)
        : tally(0, 0, 0);
      return {
        key: `${service.key} ${count.kind}`,
        service: service.service,
        kind: count.kind,
        all: tally(count.hits, count.misses, count.near),
        lately,
      };
    });
  });
}

/** All of them as one; undefined: nothing was asked. */
export function together(found: readonly Share[], when: "all" | "lately"): number | undefined {
  const asked = found.filter((one) => one.service !== CACHE);
  const all = asked.reduce((sum, one) => sum + one[when].asked, 0);
  return all ? asked.reduce((sum, one) => sum + one[when].asked * (one[when].share ?? 0), 0) / all : undefined;
}

/** What is drawn of a report that comes after another one. */
export function pointOf(now: Report, before: Report | undefined): Point {
  const sum = (of: (service: Service) => number) => now.services.reduce((total, service) => total + of(service), 0);
  return {
    time: now.time,
    streams: sum((service) => (service.service === "gateway" ? service.activeStreams : 0)),
    waiting: sum((service) => service.queues.reduce((total, queue) => total + queue.length, 0)),
    share: together(shares(now, before), "lately"),
  };
}

/** The points with one more, without those that are too old. */
export function withPoint(points: readonly Point[], point: Point): readonly Point[] {
  return [...points.filter((one) => one.time > point.time - KEPT_SECONDS * 1000 && one.time < point.time), point].slice(
    -MOST,
  );
}
