import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { effectScope, type EffectScope } from "vue";
import { ApiError } from "@/api/errors";
import type { Novel } from "@/api/types";
import { useReading } from "@/novel/useReading";

const calls = vi.hoisted(() => ({ GET: vi.fn(), PUT: vi.fn() }));
vi.mock("@/api/client", () => ({ api: calls, answer: (call: unknown) => call }));

let scope: EffectScope;
beforeEach(() => {
  scope = effectScope();
  calls.GET.mockReset();
  calls.PUT.mockReset();
});
afterEach(() => scope.stop());

async function reading(chapters: number, progress: Promise<{ chapter?: number }>) {
  calls.GET.mockReturnValue(progress);
  const novel = { novel_id: "n1", chapters } as Novel;
  const read = scope.run(() => useReading(() => novel));
  if (!read) throw new Error("no scope");
  expect(read.known.value).toBe(false);
  await vi.waitFor(() => expect(read.known.value).toBe(true));
  return read;
}

test.each([
  ["who has said nothing is shown the first chapter", 9, {}, 1],
  ["chapter 0 read is not everything", 9, { chapter: 0 }, 0],
  ["as far as was read, and no further", 9, { chapter: 4 }, 4],
  ["who has read all is shown all", 9, { chapter: 9 }, undefined],
  ["a novel without chapters has nothing to veil", 1, {}, undefined],
])("%s", async (_, chapters, progress, limit) => {
  expect((await reading(chapters, Promise.resolve(progress))).limit.value).toBe(limit);
});

test("a progress that cannot be read opens nothing", async () => {
  expect((await reading(9, Promise.reject(ApiError.unreachable("away")))).limit.value).toBe(1);
});

test("what is said counts at once, and what was refused does not", async () => {
  const read = await reading(9, Promise.resolve({}));
  calls.PUT.mockResolvedValueOnce({ chapter: 5 }).mockRejectedValueOnce(ApiError.unreachable("away"));
  await read.say(5);
  expect(read.limit.value).toBe(5);
  await expect(read.say(9)).rejects.toBeInstanceOf(ApiError);
  expect(read.limit.value).toBe(5);
});
