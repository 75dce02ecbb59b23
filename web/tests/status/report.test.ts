import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readReport } from "@/status/report";

const WIRE = {
  time: "2026-11-27T07:00:00.250+00:00",
  interval_seconds: 2,
  services: [
    {
      service: "library",
      address: "127.0.0.1:50051",
      health: "SERVING",
      error: "",
      seconds: 0.004,
      status: {
        service: "library",
        version: "0.1.0",
        started_at: "2026-11-27T06:00:00Z",
        health: "HEALTH_SERVING",
        breakers: [
          {
            peer: "search",
            group: "SearchService/unary",
            state: "BREAKER_STATE_HALF_OPEN",
            calls: 10,
            failure_rate: 60,
            rejected_calls: "7",
            retry_delay: "18.500s",
          },
        ],
        active_streams: 3,
        queues: [{ name: "high_priority", length: 4, oldest_seconds: 1.5 }, { name: "low_priority" }],
        caches: [{ kind: "novel", hits: "12", misses: "4", near: "6" }],
        pools: [{ name: "database", used: 2, limit: 20 }, { name: "jobs" }],
        loop_seconds: 0.0004,
        memory_bytes: "104857600",
      },
    },
    { service: "search", address: "127.0.0.1:50052", health: "UNREACHABLE", error: "search does not answer" },
  ],
};

describe("a report", () => {
  it("is read from what comes over the wire", () => {
    const report = readReport(WIRE);
    expect(report?.time).toBe(Date.UTC(2026, 10, 27, 7, 0, 0, 250));
    expect(report?.services[0]).toEqual({
      key: "library 127.0.0.1:50051 2026-11-27T06:00:00Z",
      service: "library",
      address: "127.0.0.1:50051",
      health: "SERVING",
      error: "",
      seconds: 0.004,
      version: "0.1.0",
      startedAt: Date.UTC(2026, 10, 27, 6),
      breakers: [
        {
          peer: "search",
          group: "SearchService/unary",
          state: "half_open",
          calls: 10,
          failureRate: 60,
          slowRate: undefined,
          rejected: 7,
          retrySeconds: 18.5,
        },
      ],
      activeStreams: 3,
      queues: [
        { name: "high_priority", length: 4, oldestSeconds: 1.5 },
        { name: "low_priority", length: 0, oldestSeconds: undefined },
      ],
      caches: [{ kind: "novel", hits: 12, misses: 4, near: 6 }],
      pools: [
        { name: "database", used: 2, limit: 20 },
        { name: "jobs", used: 0, limit: undefined },
      ],
      loopSeconds: 0.0004,
      memoryBytes: 104_857_600,
    });
  });

  it("tells of a service that does not answer", () => {
    const gone = readReport(WIRE)?.services[1];
    expect(gone).toMatchObject({
      health: "UNREACHABLE",
      error: "search does not answer",
      queues: [],
      startedAt: undefined,
    });
  });

  it("is none without a time and services", () => {
    for (const data of [undefined, null, "status", 7, [], {}, { time: "now", services: [] }, { time: WIRE.time }]) {
      expect(readReport(data)).toBeUndefined();
    }
  });

  it("bears whatever else comes", () => {
    fc.assert(
      fc.property(fc.array(fc.anything()), fc.anything(), (services, status) => {
        const report = readReport({ time: WIRE.time, services: [...services, { service: "x", status }] });
        expect(report?.services).toHaveLength(services.length + 1);
        for (const service of report?.services ?? [])
          expect(["SERVING", "NOT_SERVING", "UNREACHABLE"]).toContain(service.health);
      }),
    );
  });
});
