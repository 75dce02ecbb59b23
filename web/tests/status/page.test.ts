// @vitest-environment happy-dom
import { flushPromises, mount } from "@vue/test-utils";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { ref, shallowRef } from "vue";
import { createI18n } from "vue-i18n";
import { ApiError } from "@/api/errors";
import * as components from "@/components/messages";
import { lineThrough } from "@/status/SparkLine.vue";
import * as status from "@/status/messages";
import StatusPage from "@/status/StatusPage.vue";

const stream = vi.hoisted(() => ({
  hear: (() => undefined) as (event: { name: string; data: unknown }) => void,
  opened: "",
  retried: 0,
}));
const state = ref("connecting");
const error = shallowRef<ApiError>();

vi.mock("@/streams/useEventStream", () => ({
  useEventStream: (hear: typeof stream.hear) => {
    stream.hear = hear;
    return {
      state,
      error,
      open: (path: string) => (stream.opened = path),
      retry: () => (stream.retried += 1),
    };
  },
}));

function tell(seconds: number, search: object, streams = 1): void {
  state.value = "open";
  const gateway = {
    service: "gateway",
    address: ":8080",
    health: "SERVING",
    error: "",
    status: { active_streams: streams },
  };
  const services = [gateway, { service: "search", address: ":50052", error: "", ...search }];
  stream.hear({
    name: "status",
    data: { time: new Date(seconds * 1000).toISOString(), interval_seconds: 2, services },
  });
}

const i18n = createI18n({
  legacy: false,
  locale: "en",
  messages: { en: { components: components.en, status: status.en } },
});
const WELL = { health: "SERVING", status: { started_at: "1970-01-01T00:00:00Z", version: "0.1.0" } };

beforeEach(() => {
  state.value = "connecting";
  error.value = undefined;
});

function opened() {
  return mount(StatusPage, { global: { plugins: [i18n] } });
}

describe("the status page", () => {
  it("shows what is told, and goes on", async () => {
    const page = opened();
    expect(stream.opened).toBe("/api/status/stream");
    expect(page.find("[role=status]").text()).toBe("Loading");
    tell(3 * 3600, WELL, 4);
    await flushPromises();
    expect(page.find("[role=status]").text()).toBe("All services take calls.");
    expect(page.findAll("dd .value").map((value) => value.text())).toEqual(["4", "0", "–"]);
    const row = page.findAll("tbody tr").find((one) => one.text().includes("search"));
    expect(row?.text()).toContain("takes calls");
    expect(row?.text()).toContain("3 h");
    tell(3 * 3600 + 2, WELL, 5);
    await flushPromises();
    expect(page.find("dd .value").text()).toBe("5");
    expect(page.find("svg").attributes("aria-label")).toBe("In the last two minutes between 4 and 5");
  });

  it("says who is not well, and which ways are closed", async () => {
    const page = opened();
    tell(1, { health: "UNREACHABLE", error: "search does not answer" });
    await flushPromises();
    expect(page.find("[role=status]").text()).toBe("Not well: search.");
    expect(page.text()).toContain("search does not answer");
    const breakers = [{ peer: "cache", group: "CacheService/unary", state: "BREAKER_STATE_OPEN", failure_rate: 80 }];
    tell(3, { health: "SERVING", status: { breakers } });
    await flushPromises();
    expect(page.find("[role=status]").text()).toContain("search to cache");
    expect(page.text()).toContain("80%");
  });

  it("says that what stands there is old, while nobody answers", async () => {
    const page = opened();
    tell(1, WELL);
    state.value = "reconnecting";
    await flushPromises();
    expect(page.text()).toContain("The gateway does not answer.");
  });

  it("tells whoever may not see it what would help", async () => {
    const page = opened();
    const message = "the status is for operators: 203.0.113.9 is not in GAJI_OPERATOR_NETWORKS";
    error.value = new ApiError(403, { code: "PERMISSION_DENIED", reason: "NOT_AN_OPERATOR", message, fields: {} });
    await flushPromises();
    expect(page.text()).toContain("for those who run Gaji");
    expect(page.text()).toContain(message);
    expect(page.find("button").exists()).toBe(false);
    error.value = new ApiError(503, { code: "UNAVAILABLE", reason: "X", message: "away", fields: {} });
    await flushPromises();
    await page.find("button").trigger("click");
    expect(stream.retried).toBe(1);
  });

  it("passes over what is no report", async () => {
    const page = opened();
    stream.hear({ name: "failed", data: {} });
    stream.hear({ name: "status", data: "?" });
    await flushPromises();
    expect(page.find("table").exists()).toBe(false);
  });
});

describe("a line", () => {
  it("goes through what is known", () => {
    expect(lineThrough([0, 5, 10], 10)).toBe("M0.0 27.0L60.0 14.0L120.0 1.0");
    expect(lineThrough([undefined, 1, undefined, 1], 1)).toBe("M40.0 1.0M120.0 1.0");
    expect(lineThrough([], 1)).toBe("");
    expect(lineThrough([3], 1)).toBe("M0.0 1.0");
  });
});
