import { describe, expect, it } from "vitest";
import { KEPT_SECONDS, pointOf, shares, together, withPoint, type Point } from "@/status/history";
import { lasted } from "@/status/lasted";
import { readReport, type Report } from "@/status/report";

type Counts = Record<string, [hits: number, misses: number, near?: number]>;

function reportOf(time: number, services: Record<string, Counts>, started = "2026-01-01T00:00:00Z"): Report {
  const report = readReport({
    time: new Date(time).toISOString(),
    services: Object.entries(services).map(([service, counts]) => ({
      service,
      address: "here",
      health: "SERVING",
      status: {
        started_at: started,
        active_streams: 2,
        queues: [{ name: "one", length: 3 }],
        caches: Object.entries(counts).map(([kind, [hits, misses, near = 0]]) => ({ kind, hits, misses, near })),
      },
    })),
  });
  if (!report) throw new Error("no report");
  return report;
}

describe("shares of caches", () => {
  it("are of all that was asked, and of what was asked just now", () => {
    const before = reportOf(0, { library: { novel: [6, 4, 3] } });
    const now = reportOf(2000, { library: { novel: [14, 6, 7], user: [0, 5] } });
    expect(shares(now, before)).toMatchObject([
      { kind: "novel", all: { asked: 20, share: 0.7, near: 0.35 }, lately: { asked: 10, share: 0.8, near: 0.4 } },
      { kind: "user", all: { asked: 5, share: 0 }, lately: { asked: 5, share: 0 } },
    ]);
  });

  it("say nothing of just now at first, and where nothing was asked", () => {
    const now = reportOf(0, { library: { novel: [6, 4] } });
    expect(shares(now, undefined)[0]?.lately).toEqual({ asked: 0, share: undefined, near: undefined });
    expect(shares(now, now)[0]?.lately.share).toBeUndefined();
  });

  it("begin anew with a process", () => {
    const before = reportOf(0, { library: { novel: [600, 400] } });
    const now = reportOf(2000, { library: { novel: [1, 1] } }, "2026-01-02T00:00:00Z");
    expect(shares(now, before)[0]?.lately).toMatchObject({ asked: 2, share: 0.5 });
  });

  it("count a question once, though the cache counts it as well", () => {
    const now = reportOf(0, { cache: { novel: [0, 100] }, library: { novel: [3, 1] }, search: { passages: [0, 4] } });
    expect(together(shares(now, undefined), "all")).toBe(3 / 8);
    expect(together([], "all")).toBeUndefined();
  });
});

describe("points", () => {
  it("sum up the gateway's streams and all that waits", () => {
    const now = reportOf(5000, { gateway: {}, generation: {} });
    expect(pointOf(now, undefined)).toEqual({ time: 5000, streams: 2, waiting: 6, share: undefined });
  });

  it("are kept for two minutes, in order, and never too many", () => {
    let points: readonly Point[] = [];
    for (let index = 0; index < 500; index += 1) {
      points = withPoint(points, { time: index * 2000, streams: index, waiting: 0, share: undefined });
    }
    expect(points.at(-1)?.streams).toBe(499);
    expect(points).toHaveLength(KEPT_SECONDS / 2);
    points = withPoint(points, { time: 100, streams: 0, waiting: 0, share: undefined });
    expect(points).toHaveLength(1);
    for (let index = 0; index < 1000; index += 1) {
      points = withPoint(points, { time: 200 + index, streams: 0, waiting: 0, share: undefined });
    }
    expect(points).toHaveLength(240);
  });
});

describe("a time", () => {
  it.each([
    [0, ["seconds", 0]],
    [-3, ["seconds", 0]],
    [119, ["seconds", 119]],
    [120, ["minutes", 2]],
    [7199, ["minutes", 119]],
    [7200, ["hours", 2]],
    [172_800, ["days", 2]],
  ])("of %d s is told in the largest unit", (seconds, told) => {
    expect(lasted(seconds)).toEqual(told);
  });
});
