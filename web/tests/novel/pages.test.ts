import { expect, test } from "vitest";
import { beginning, extendedAfter, extendedBefore, type Around } from "@/novel/pages";
import type { Passage } from "@/api/types";

function around(from: number, to: number, last: number, until = 3): Around {
  const passages = Array.from({ length: to - from + 1 }, (_, index) => ({ id: `p${from + index}` }) as Passage);
  return { passages, index: 0, more_before: from > 0, more_after: to < last, until_chapter: until };
}

const ids = (stretch: { passages: readonly Passage[] }) => stretch.passages.map((passage) => passage.id);

test("a stretch grows at either end, without gaps or doubles, to the ends of what may be read", () => {
  let stretch = beginning(around(4, 6, 9));
  stretch = extendedBefore(stretch, around(1, 4, 9));
  stretch = extendedAfter(stretch, around(6, 9, 9));
  expect(ids(stretch)).toEqual(["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9"]);
  expect(stretch).toMatchObject({ moreBefore: true, moreAfter: false, until: 3 });
  stretch = extendedBefore(stretch, around(0, 1, 9));
  expect(stretch.moreBefore).toBe(false);
});

test("it stays bounded, and what was given up can be read again", () => {
  let stretch = beginning(around(10, 13, 20));
  stretch = extendedAfter(stretch, around(13, 16, 20), 5);
  expect(ids(stretch)).toEqual(["p12", "p13", "p14", "p15", "p16"]);
  expect(stretch.moreBefore).toBe(true);
  stretch = extendedBefore({ ...stretch, moreAfter: false }, around(9, 12, 20), 5);
  expect(ids(stretch)).toEqual(["p9", "p10", "p11", "p12", "p13"]);
  expect(stretch.moreAfter).toBe(true);
});
