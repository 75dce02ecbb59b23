// What the gateway tells of all services (`StatusReport` of /openapi.json), made of what came over the wire. Whatever
// an older or newer release leaves out is as if it were nothing.

export type Health = "SERVING" | "NOT_SERVING" | "UNREACHABLE";
export type BreakerState =
  "closed" | "open" | "half_open" | "disabled" | "forced_open" | "metrics_only" | "unspecified";

export interface Breaker {
  peer: string;
  group: string;
  state: BreakerState;
  calls: number;
  /** Percent of the calls; undefined: there were too few. */
  failureRate: number | undefined;
  slowRate: number | undefined;
  rejected: number;
  /** Seconds until calls are let through again. */
  retrySeconds: number | undefined;
}

export interface Queue {
  name: string;
  length: number;
  oldestSeconds: number | undefined;
}

/** Counts since the process started. */
export interface CacheCount {
  kind: string;
  hits: number;
  misses: number;
  /** Of the hits, those from the process's own memory. */
  near: number;
}

export interface Pool {
  name: string;
  used: number;
  limit: number | undefined;
}

export interface Service {
  /** Tells processes apart, also one from the one that took its place. */
  key: string;
  service: string;
  address: string;
  health: Health;
  /** Why there is nothing more; "": there is. */
  error: string;
  /** How long it took to answer. */
  seconds: number | undefined;
  version: string;
  /** Milliseconds of Unix time; undefined: it did not say. */
  startedAt: number | undefined;
  breakers: readonly Breaker[];
  activeStreams: number;
  queues: readonly Queue[];
  caches: readonly CacheCount[];
  pools: readonly Pool[];
  loopSeconds: number | undefined;
  memoryBytes: number | undefined;
}

export interface Report {
  /** Milliseconds of Unix time. */
  time: number;
  intervalSeconds: number;
  services: readonly Service[];
}

type Fields = Readonly<Record<string, unknown>>;

const HEALTHS: readonly string[] = ["SERVING", "NOT_SERVING", "UNREACHABLE"] satisfies Health[];
const STATES: readonly string[] = [
  "closed",
  "open",
  "half_open",
  "disabled",
  "forced_open",
  "metrics_only",
] satisfies BreakerState[];

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function list(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.map(fields) : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A number, also where it came as a string: int64 do. */
function amount(value: unknown): number | undefined {
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

/** A point in time as milliseconds. */
function moment(value: unknown): number | undefined {
  return amount(Date.parse(text(value)));
}

function breaker(of: Fields): Breaker {
  const state = text(of["state"]).replace("BREAKER_STATE_", "").toLowerCase();
  return {
    peer: text(of["peer"]),
    group: text(of["group"]),
    state: STATES.includes(state) ? (state as BreakerState) : "unspecified",
    calls: amount(of["calls"]) ?? 0,
    failureRate: amount(of["failure_rate"]),
    slowRate: amount(of["slow_rate"]),
    rejected: amount(of["rejected_calls"]) ?? 0,
    retrySeconds: amount(text(of["retry_delay"]).replace(/s$/, "")),
  };
}

function queue(of: Fields): Queue {
  return { name: text(of["name"]), length: amount(of["length"]) ?? 0, oldestSeconds: amount(of["oldest_seconds"]) };
}

function cache(of: Fields): CacheCount {
  return {
    kind: text(of["kind"]),
    hits: amount(of["hits"]) ?? 0,
    misses: amount(of["misses"]) ?? 0,
    near: amount(of["near"]) ?? 0,
  };
}

function pool(of: Fields): Pool {
  return { name: text(of["name"]), used: amount(of["used"]) ?? 0, limit: amount(of["limit"]) };
}

function service(of: Fields): Service {
  const status = fields(of["status"]);
  const health = text(of["health"]);
  const name = text(of["service"]);
  return {
    key: [name, text(of["address"]), text(status["started_at"])].join(" "),
    service: name,
    address: text(of["address"]),
    health: HEALTHS.includes(health) ? (health as Health) : "UNREACHABLE",
    error: text(of["error"]),
    seconds: amount(of["seconds"]),
    version: text(status["version"]),
    startedAt: moment(status["started_at"]),
    breakers: list(status["breakers"]).map(breaker),
    activeStreams: amount(status["active_streams"]) ?? 0,
    queues: list(status["queues"]).map(queue),
    caches: list(status["caches"]).map(cache),
    pools: list(status["pools"]).map(pool),
    loopSeconds: amount(status["loop_seconds"]),
    memoryBytes: amount(status["memory_bytes"]),
  };
}

/** A report; undefined: it is none. */
export function readReport(data: unknown): Report | undefined {
  const of = fields(data);
  const time = moment(of["time"]);
  if (time === undefined || !Array.isArray(of["services"])) return undefined;
  return { time, intervalSeconds: amount(of["interval_seconds"]) ?? 2, services: list(of["services"]).map(service) };
}
