import { expect, test } from "vitest";
import { chapterName } from "@/novel/chapters";
import { lowerLimit } from "@/novel/limits";

const t = (key: string, named?: Record<string, unknown>) =>
  key === "novel.chapterTitled"
    ? `${String(named?.["name"])}: ${String(named?.["title"])}`
    : `${key} ${named?.["n"] ?? ""}`.trim();

test.each([
  [3, "CHAPTER III.", "novel.chapter 3"],
  [3, "3", "novel.chapter 3"],
  [3, "제 3 장", "novel.chapter 3"],
  [3, "", "novel.chapter 3"],
  [3, "CHAPTER III. The Boy", "novel.chapter 3: The Boy"],
  [3, "The Boy", "novel.chapter 3: The Boy"],
  [0, "Preface", "novel.chapterZero: Preface"],
  [0, "", "novel.chapterZero"],
])("chapter %i with the heading %j is called %j", (chapter, title, name) => {
  expect(chapterName(chapter, title, t)).toBe(name);
});

test("of two limits the lower one holds, and chapter 0 is one", () => {
  expect(lowerLimit(3, 0)).toBe(0);
  expect(lowerLimit(undefined, 0)).toBe(0);
  expect(lowerLimit(4, undefined)).toBe(4);
  expect(lowerLimit(undefined, undefined)).toBeUndefined();
});
