// @vitest-environment happy-dom
import { afterEach, expect, test, vi } from "vitest";
import { alone, anyOf, newRequestId } from "@/api/browser";

afterEach(() => vi.unstubAllGlobals());

test("request ids are 128 bits, and no two are the same", () => {
  const ids = Array.from({ length: 100 }, newRequestId);
  expect(ids.every((id) => /^[0-9a-f]{32}$/.test(id))).toBe(true);
  expect(new Set(ids).size).toBe(100);
});

test.each(["with", "without"])("a signal ends with the first of several, %s the browser's own", (how) => {
  if (how === "without") vi.stubGlobal("AbortSignal", {});
  const [one, other] = [new AbortController(), new AbortController()];
  const both = anyOf(one.signal, other.signal);
  expect(both.aborted).toBe(false);
  other.abort("why");
  expect([both.aborted, both.reason]).toEqual([true, "why"]);
  expect(anyOf(one.signal, other.signal).aborted).toBe(true);
});

test("without locks a tab does one thing after the other, whatever came of it", async () => {
  vi.stubGlobal("navigator", {});
  const done: string[] = [];
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  const first = alone("a", async () => {
    await gate;
    done.push("first");
    throw new Error("no");
  });
  const second = alone("a", async () => void done.push("second"));
  await Promise.resolve();
  expect(done).toEqual([]);
  go();
  await expect(first).rejects.toThrow("no");
  await second;
  expect(done).toEqual(["first", "second"]);
});
