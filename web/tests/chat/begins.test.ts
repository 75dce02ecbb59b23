// @vitest-environment happy-dom
import { beforeEach, expect, test, vi } from "vitest";
import type { Message } from "@/api/types";
import { forget, hasBegun, keep, left, refuse } from "@/chat/begins";
import { saying } from "@/chat/branch";

const reader = vi.hoisted(() => ({ change: () => {} }));
vi.mock("@/api/session", () => ({
  onReaderChange: (listener: () => void) => {
    reader.change = listener;
    return () => undefined;
  },
}));

beforeEach(() => sessionStorage.clear());

test("the same wish is the same request until it has begun; another one is another", () => {
  const first = keep("c", { kind: "send", content: "Hello" }, "m0");
  expect(first.requestId).toMatch(/^[0-9a-f]{32}$/);
  expect(keep("c", { kind: "send", content: "Hello" }, "m0").requestId).toBe(first.requestId);
  expect(keep("other", { kind: "send", content: "Hello" }, "m0").requestId).not.toBe(first.requestId);
  expect(keep("c", { kind: "edit", messageId: "m", content: "Hello" }, "m0").requestId).not.toBe(first.requestId);
  const last = keep("c", { kind: "edit", messageId: "m", content: "Hello" }, "m0");
  forget("c");
  expect(keep("c", { kind: "edit", messageId: "m", content: "Hello" }, "m0").requestId).not.toBe(last.requestId);
});

test("what was refused is not begun again by itself", () => {
  const begin = keep("c", { kind: "send", content: "Hello" }, "m0");
  expect(left("c")).toEqual(begin);
  refuse("c");
  expect(left("c")).toBeUndefined();
  expect(keep("c", { kind: "send", content: "Hello" }, "m0")).toEqual(begin);
});

test("nothing is kept for another reader, nor for ever", () => {
  keep("c", { kind: "send", content: "Hello" }, "m0");
  reader.change();
  expect(sessionStorage.length).toBe(0);
  vi.useFakeTimers();
  keep("c", { kind: "send", content: "Hello" }, "m0");
  vi.advanceTimersByTime(3_600_001);
  expect(left("c")).toBeUndefined();
  vi.useRealTimers();
});

test("a browser that keeps nothing is no reason to send nothing", () => {
  const full = vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  expect(keep("c", { kind: "send", content: "Hello" }, "m0").requestId).toHaveLength(32);
  full.mockRestore();
});

test("a branch shows whether what is kept has begun", () => {
  const message = (message_id: string, role: "READER" | "CHARACTER", content = "") =>
    ({ ...saying("c", "", content), message_id, role: `MESSAGE_ROLE_${role}` }) as Message;
  const opening = message("m0", "CHARACTER");
  keep("c", { kind: "send", content: "Go on" }, "m0");
  expect(hasBegun("c", [opening])).toBe(false);
  expect(hasBegun("c", [opening, message("m1", "READER", "Stop")])).toBe(false);
  expect(hasBegun("c", [message("x", "READER", "Go on")])).toBe(false);
  expect(hasBegun("c", [opening, message("m1", "READER", "Go on"), message("m2", "CHARACTER")])).toBe(true);
  keep("c", { kind: "send", content: "Go on" }, "m2");
  expect(hasBegun("c", [opening, message("m1", "READER", "Go on"), message("m2", "CHARACTER")])).toBe(false);
  keep("c", { kind: "regenerate", messageId: "m0" }, "");
  expect(hasBegun("c", [opening])).toBe(false);
  expect(hasBegun("c", [message("m3", "CHARACTER")])).toBe(true);
});
