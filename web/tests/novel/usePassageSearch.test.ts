import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { effectScope, nextTick, ref } from "vue";
import type { Passage } from "@/api/types";
import { usePassageSearch, type Question } from "@/novel/usePassageSearch";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function searching(first = "") {
  const query = ref(first);
  const asked: { query: string; signal: AbortSignal; answer: (ids: string[]) => void; fail: (error: Error) => void }[] =
    [];
  const find = (question: Question, signal: AbortSignal) =>
    new Promise<readonly Passage[]>((resolve, reject) => {
      const answer = (ids: string[]) => resolve(ids.map((id) => ({ id }) as Passage));
      asked.push({ query: question.query, signal, answer, fail: reject });
    });
  const scope = effectScope();
  const search = scope.run(() =>
    usePassageSearch(() => ({ novelId: "n1", query: query.value, until: undefined }), find),
  );
  if (!search) throw new Error("no scope");
  async function type(text: string): Promise<void> {
    query.value = text;
    await nextTick();
  }
  return { ...search, asked, type, scope };
}

test("it waits until the typing rests, and asks once", async () => {
  const { asked, type, found } = searching();
  for (const text of ["la", "lam", "lamp "]) {
    await type(text);
    await vi.advanceTimersByTimeAsync(200);
  }
  expect(asked).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(100);
  expect(asked.map(({ query }) => query)).toEqual(["lamp"]);
  asked[0]?.answer(["p1"]);
  await vi.advanceTimersByTimeAsync(0);
  expect(found.value).toMatchObject({ query: "lamp", passages: [{ id: "p1" }] });
});

test("an older question is given up, and its answer comes to nothing", async () => {
  const { asked, type, found, loading } = searching("lamp");
  expect(loading.value).toBe(true);
  await type("lamp oil");
  expect(asked[0]?.signal.aborted).toBe(true);
  await vi.advanceTimersByTimeAsync(300);
  asked[1]?.answer(["new"]);
  asked[0]?.answer(["old"]);
  await vi.advanceTimersByTimeAsync(0);
  expect(found.value?.passages).toEqual([{ id: "new" }]);
  expect(loading.value).toBe(false);
});

test("a failure is told, and asked again it is forgotten", async () => {
  const { asked, error, ask } = searching("lamp");
  asked[0]?.fail(new Error("away"));
  await vi.advanceTimersByTimeAsync(0);
  expect(error.value).toEqual(new Error("away"));
  void ask();
  expect(error.value).toBeUndefined();
  expect(asked).toHaveLength(2);
});

test("a letter is too little, a syllable is not, and nothing is asked after the page", async () => {
  const { asked, type, found, scope } = searching("lamp");
  asked[0]?.answer(["p1"]);
  await vi.advanceTimersByTimeAsync(0);
  await type(" l ");
  await vi.advanceTimersByTimeAsync(300);
  expect(asked).toHaveLength(1);
  expect(found.value).toBeUndefined();
  await type("등");
  await vi.advanceTimersByTimeAsync(300);
  expect(asked).toHaveLength(2);
  await type("등대");
  scope.stop();
  await vi.advanceTimersByTimeAsync(300);
  expect(asked).toHaveLength(2);
  expect(asked[1]?.signal.aborted).toBe(true);
});
