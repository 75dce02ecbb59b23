// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { oncePerFrame } from "@/chat/frames";

let frames: Map<number, () => void>;
beforeEach(() => {
  vi.useFakeTimers();
  frames = new Map();
  let last = 0;
  vi.stubGlobal("requestAnimationFrame", (call: () => void) => (frames.set((last += 1), call), last));
  vi.stubGlobal("cancelAnimationFrame", (id: number) => frames.delete(id));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function draw(): void {
  const due = [...frames.values()];
  frames.clear();
  for (const call of due) call();
}

test("it is called once per frame, however often it is asked for", () => {
  const call = vi.fn();
  const coalesced = oncePerFrame(call);
  for (let turn = 0; turn < 2000; turn += 1) coalesced.soon();
  expect(call).not.toHaveBeenCalled();
  draw();
  expect(call).toHaveBeenCalledTimes(1);
  coalesced.soon();
  draw();
  expect(call).toHaveBeenCalledTimes(2);
  expect(vi.getTimerCount()).toBe(0);
});

test("a page that nobody sees has no frames: a timer does it", () => {
  const call = vi.fn();
  oncePerFrame(call).soon();
  vi.advanceTimersByTime(1000);
  expect(call).toHaveBeenCalledTimes(1);
  draw();
  expect(call).toHaveBeenCalledTimes(1);
});

test("at once is instead of at the next frame", () => {
  const call = vi.fn();
  const coalesced = oncePerFrame(call);
  coalesced.soon();
  coalesced.now();
  draw();
  expect(call).toHaveBeenCalledTimes(1);
  coalesced.soon();
  coalesced.cancel();
  draw();
  vi.advanceTimersByTime(1000);
  expect(call).toHaveBeenCalledTimes(1);
});
