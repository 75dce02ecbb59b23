// The passages that a reader has open, as a stretch of the novel that grows at either end and stays bounded.
import type { components } from "@/api/schema";
import type { Passage } from "@/api/types";

export type Around = components["schemas"]["ReadAroundResponse"];

/** How many passages are kept; some 9,000 words. */
export const MOST_PASSAGES = 60;

export interface Stretch {
  passages: readonly Passage[];
  moreBefore: boolean;
  moreAfter: boolean;
  /** The last chapter that may be shown. */
  until: number;
}

export function beginning(around: Around): Stretch {
  const { passages, more_before, more_after, until_chapter } = around;
  return { passages, moreBefore: more_before, moreAfter: more_after, until: until_chapter };
}

/** The stretch with what comes before it; the end is given up for that where it grows too long. */
export function extendedBefore(stretch: Stretch, around: Around, most = MOST_PASSAGES): Stretch {
  const known = new Set(stretch.passages.map((passage) => passage.id));
  const all = [...around.passages.filter((passage) => !known.has(passage.id)), ...stretch.passages];
  const passages = all.slice(0, most);
  const moreAfter = stretch.moreAfter || passages.length < all.length;
  return { ...stretch, passages, moreBefore: around.more_before, moreAfter };
}

/** The stretch with what comes after it; the beginning is given up for that where it grows too long. */
export function extendedAfter(stretch: Stretch, around: Around, most = MOST_PASSAGES): Stretch {
  const known = new Set(stretch.passages.map((passage) => passage.id));
  const all = [...stretch.passages, ...around.passages.filter((passage) => !known.has(passage.id))];
  const passages = all.slice(-most);
  const moreBefore = stretch.moreBefore || passages.length < all.length;
  return { ...stretch, passages, moreBefore, moreAfter: around.more_after };
}
