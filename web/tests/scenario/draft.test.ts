import { expect, test } from "vitest";
import { draftOf, parsed } from "@/scenario/draft";
import { emptyForm, MOST_PINS } from "@/scenario/form";

const pin = { id: "p1", content: "The lamp", chapter: 2, chapter_title: "Oil" };

test("what is written is there after a reload, and gone when it is stored", () => {
  const form = { ...emptyForm(), title: "T", description: "D", limit: "chapter" as const, chapter: 3, pins: [pin] };
  draftOf("n1").write(form);
  expect(draftOf("n1").read()).toEqual(form);
  expect(draftOf("n2").read()).toBeUndefined();
  draftOf("n1").clear();
  expect(draftOf("n1").read()).toBeUndefined();
});

test.each(["", "{", "null", "3", "[]", '{"title":1}', '{"title":"T"}'])("%j is no draft", (text) => {
  expect(parsed(text)).toBeUndefined();
});

test("of a draft that another release wrote, what can be read is kept", () => {
  const pins = [pin, { id: 3 }, null, ...Array.from({ length: MOST_PINS }, () => pin)];
  const draft = parsed(
    JSON.stringify({ title: "T", description: "D", limit: "new", chapter: -1, pins, public: "yes" }),
  );
  expect(draft).toMatchObject({ title: "T", description: "D", limit: "none", chapter: 1, public: false });
  expect(draft?.pins).toHaveLength(MOST_PINS);
});

test("a storage that refuses does no harm", () => {
  const full = {
    setItem: () => {
      throw new DOMException("full", "QuotaExceededError");
    },
  } as unknown as Storage;
  expect(() => draftOf("n1", full).write(emptyForm())).not.toThrow();
});
