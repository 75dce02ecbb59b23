import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { effectScope, nextTick, ref, shallowRef, type EffectScope } from "vue";
import { useIngestion } from "@/library/useIngestion";
import type { Novel } from "@/api/types";
import type { StreamEvent, StreamState } from "@/streams/useEventStream";

/** Streams that the test speaks for. */
const streams = vi.hoisted(() => [] as FakeStream[]);

interface FakeStream {
  path: string;
  open: boolean;
  become(state: StreamState, error?: unknown): void;
  hear(name: string, data: unknown): void;
}

vi.mock("@/streams/useEventStream", () => ({
  useEventStream(hear: (event: StreamEvent) => void) {
    const state = ref<StreamState>("idle");
    const error = shallowRef<unknown>();
    const stream: FakeStream = {
      path: "",
      open: false,
      become: (now, why) => {
        error.value = why;
        state.value = now;
      },
      hear: (name, data) => hear({ name, data, id: "", connection: 1 }),
    };
    streams.push(stream);
    const open = (path: string) => Object.assign(stream, { path, open: true });
    const close = () => Object.assign(stream, { open: false });
    return { state, error, open, close };
  },
}));

const fetched = vi.hoisted(() => ({ get: vi.fn() }));
vi.mock("@/api/client", () => ({ api: { GET: fetched.get }, answer: (call: unknown) => call }));

const scopes: EffectScope[] = [];
beforeEach(() => {
  streams.length = 0;
  fetched.get.mockReset();
});
afterEach(() => {
  for (const scope of scopes.splice(0)) scope.stop();
});

function follow(first: string | undefined) {
  const id = ref(first);
  const ended: Novel[] = [];
  const scope = effectScope();
  scopes.push(scope);
  const followed = scope.run(() =>
    useIngestion(
      () => id.value,
      (novel) => ended.push(novel),
    ),
  );
  if (!followed) throw new Error("no scope");
  return { ...followed, id, ended, scope, stream: streams.at(-1) as FakeStream };
}

test("it tells how far an ingestion is, and at its end how the novel stands", async () => {
  const { progress, ended, stream } = follow("n1");
  expect(stream.path).toBe("/api/novels/n1/ingestion-stream");
  stream.hear("progress", { progress: 40, stage: "embedding", message: "" });
  expect(progress.value?.progress).toBe(40);
  const novel = { novel_id: "n1", status: "INGESTION_STATUS_COMPLETE" };
  fetched.get.mockResolvedValue(novel);
  stream.become("ended");
  await vi.waitFor(() => expect(ended).toEqual([novel]));
});

test("two are followed at a time; the next one when one has ended or is not looked at any more", async () => {
  fetched.get.mockResolvedValue({});
  const all = ["n1", "n2", "n3", "n4"].map((id) => follow(id));
  const open = () => all.map(({ stream }) => stream.open);
  expect(open()).toEqual([true, true, false, false]);
  all[0]?.stream.become("ended");
  await nextTick();
  expect(open()[2]).toBe(true);
  all[1]?.scope.stop();
  expect(open()[3]).toBe(true);
});

test("what cannot be followed says so, and can be tried again", async () => {
  const { error, retry, stream, id } = follow("n1");
  stream.become("failed", new Error("away"));
  await nextTick();
  expect(error.value).toEqual(new Error("away"));
  retry();
  expect(error.value).toBeUndefined();
  expect(stream.open).toBe(true);
  id.value = undefined;
  await nextTick();
  expect(stream.open).toBe(false);
});
