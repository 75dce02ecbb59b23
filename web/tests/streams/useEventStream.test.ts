// @vitest-environment node
import { effectScope } from "vue";
import { expect, test, vi } from "vitest";
import { useEventStream } from "@/streams/useEventStream";
import { frame, liveStream, refusal, settle, Simulation, stream } from "./simulation";

const reader = vi.hoisted(() => ({ listeners: new Set<() => void>() }));
vi.mock("@/api/session", () => ({
  renew: () => Promise.resolve(),
  onReaderChange: (listener: () => void) => {
    reader.listeners.add(listener);
    return () => reader.listeners.delete(listener);
  },
}));

function use(server: Simulation["server"]) {
  const simulation = new Simulation(server);
  const heard: string[] = [];
  const scope = effectScope();
  const handle = scope.run(() => useEventStream(({ name }) => heard.push(name), {}, simulation));
  if (!handle) throw new Error("the scope is not active");
  return { simulation, heard, scope, ...handle };
}

test("it hears a path, tells its state, and ends with its component", async () => {
  let line: ReturnType<typeof liveStream> | undefined;
  const used = use(({ signal }) => (line = liveStream(signal)).response);
  expect(used.state.value).toBe("idle");
  used.open("/api/novels/1/ingestion-stream");
  expect(used.state.value).toBe("connecting");
  await settle();
  line?.send(frame("progress", { progress: 20 }, "a.1"));
  await settle();
  expect(used.state.value).toBe("open");
  expect(used.heard).toEqual(["progress"]);
  used.scope.stop();
  await settle();
  expect(line?.over).toBe(true);
  expect(used.simulation.left).toBe(0);
  expect(reader.listeners.size).toBe(0);
});

test("another stream takes the place of the one before", async () => {
  const lines: ReturnType<typeof liveStream>[] = [];
  const used = use(({ signal }) => {
    const line = liveStream(signal);
    lines.push(line);
    return line.response;
  });
  used.open("/one");
  await settle();
  used.open(() => ({ path: "/two" }), "b.7");
  await settle();
  lines[0]?.send(frame("progress", {}, "a.1"));
  lines[1]?.send(frame("token", {}, "b.8"));
  await settle();
  expect(used.heard).toEqual(["token"]);
  expect(used.simulation.asked[1]?.lastEventId).toBe("b.7");
  used.scope.stop();
});

test("it tells why it failed, and the reader's word begins it anew", async () => {
  const used = use((_, count) => (count === 1 ? refusal(404, "NOT_FOUND") : stream([frame("complete", {}, "a.1")])));
  used.open("/gone");
  await settle();
  expect(used.state.value).toBe("failed");
  expect(used.error.value?.reason).toBe("NOT_FOUND");
  used.retry();
  await settle();
  expect(used.state.value).toBe("ended");
  expect(used.error.value).toBeUndefined();
  used.scope.stop();
});

test("what one reader is shown ends when another is the reader", async () => {
  const used = use(({ signal }) => liveStream(signal).response);
  used.open("/events");
  await settle();
  for (const listener of reader.listeners) listener();
  expect(used.state.value).toBe("idle");
  await settle();
  expect(used.simulation.asked[0]?.signal.aborted).toBe(true);
  used.scope.stop();
});
