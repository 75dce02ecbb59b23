import { expect, test } from "vitest";
import type { Scenario } from "@/api/types";
import { examples, withParticle } from "@/scenario/examples";
import { createBody, emptyForm, formOf, limitOf, moved, titleOf, updateBody, withinLimit } from "@/scenario/form";

const pin = (id: string, chapter: number) => ({ id, chapter, content: id, chapter_title: "" });
const scenario = {
  title: "What if",
  description: "She had gone.",
  until_chapter: 4,
  until_read: false,
  visibility: "VISIBILITY_PUBLIC",
} as Scenario;

test("a title that is left out is the first sentence, cut at a word", () => {
  expect(titleOf("What if she had gone? Nobody knows.")).toBe("What if she had gone?");
  expect(titleOf("그녀가 떠났다면? 아무도 모른다.")).toBe("그녀가 떠났다면?");
  expect(titleOf("What if Mr. J. Bingley had stayed. Or gone?")).toBe("What if Mr. J. Bingley had stayed.");
  const long = titleOf(`What if ${"word ".repeat(40)}`);
  expect([...long].length).toBeLessThanOrEqual(80);
  expect(long).toMatch(/word…$/);
  expect(titleOf("가".repeat(100))).toBe(`${"가".repeat(79)}…`);
  expect(titleOf("  ")).toBe("");
});

test("who has said nothing has read chapter 0, where the limit is what has been read", () => {
  expect(limitOf({ limit: "none", chapter: 3 }, undefined)).toBeUndefined();
  expect(limitOf({ limit: "chapter", chapter: 3 }, 9)).toBe(3);
  expect(limitOf({ limit: "read", chapter: 3 }, undefined)).toBe(0);
  expect(limitOf({ limit: "read", chapter: 3 }, 9)).toBe(9);
});

test("a new scenario leaves out what is beyond its limit", () => {
  const form = { ...emptyForm(), description: " She had gone. ", pins: [pin("a", 2), pin("b", 5), pin("c", 0)] };
  expect(createBody("n1", form, undefined)).toEqual({
    novel_id: "n1",
    title: "She had gone.",
    description: "She had gone.",
    passage_ids: ["a", "b", "c"],
    visibility: "VISIBILITY_PRIVATE",
    until_read: false,
  });
  expect(createBody("n1", { ...form, limit: "chapter", chapter: 2 }, undefined)).toMatchObject({
    passage_ids: ["a", "c"],
    until_chapter: 2,
  });
  expect(createBody("n1", { ...form, limit: "read", public: true }, 0)).toMatchObject({
    passage_ids: ["c"],
    until_read: true,
    visibility: "VISIBILITY_PUBLIC",
  });
  expect(withinLimit(form.pins, 2).beyond.map(({ id }) => id)).toEqual(["b"]);
});

test("a change holds what differs; a limit that is lifted is taken away", () => {
  const form = formOf(scenario);
  expect(form).toMatchObject({ limit: "chapter", chapter: 4, public: true });
  expect(updateBody(scenario, form)).toEqual({});
  expect(updateBody(scenario, { ...form, title: "", chapter: 2 })).toEqual({
    title: "She had gone.",
    until_chapter: 2,
  });
  expect(updateBody(scenario, { ...form, limit: "none" })).toEqual({ clear_until_chapter: true });
  expect(updateBody(scenario, { ...form, limit: "read" })).toEqual({ clear_until_chapter: true, until_read: true });
});

test("a scenario with both limits keeps both until one is chosen", () => {
  const both = { ...scenario, until_read: true };
  const form = formOf(both);
  expect(form.limit).toBe("read");
  expect(updateBody(both, form)).toEqual({});
  expect(updateBody(both, { ...form, limit: "chapter" })).toEqual({ until_read: false });
  expect(updateBody(both, { ...form, limit: "none" })).toEqual({ clear_until_chapter: true, until_read: false });
});

test("pins move by one place and not over an end", () => {
  const pins = [pin("a", 1), pin("b", 1), pin("c", 1)];
  const order = (from: number, to: number) => moved(pins, from, to).map(({ id }) => id);
  expect(order(0, 1)).toEqual(["b", "a", "c"]);
  expect(order(2, 0)).toEqual(["c", "a", "b"]);
  expect(moved(pins, 0, -1)).toBe(pins);
  expect(moved(pins, 2, 3)).toBe(pins);
});

test("ideas are made of names, with the particles that Korean names take", () => {
  const t = (key: string, named?: Record<string, unknown>) => `${key} ${String(named?.["aSubject"])}`;
  expect(examples([], t)).toEqual([]);
  expect(examples(["춘향"], t)).toEqual(["scenario.examples.refused 춘향이", "scenario.examples.left 춘향이"]);
  expect(examples(["춘향", "몽룡"], t)).toHaveLength(4);
  expect(withParticle("다아시", "이", "가")).toBe("다아시가");
  expect(withParticle("Ines", "이", "가")).toBe("Ines이(가)");
});
