// Which part of a growing text can be said already, and how.

/** How much of a text is whole sentences and lines; once it is done, all of it. */
export function wholeSentences(text: string, done: boolean): number {
  if (done) return text.length;
  const line = text.lastIndexOf("\n") + 1;
  // Only a sentence behind it tells that one is over: "Mr." and "..." may go on.
  let start = line;
  for (const { index } of segmenter().segment(text.slice(line))) start = line + index;
  return start;
}

/** A text without the marks of Markdown, as it is said. */
export function spoken(text: string): string {
  return text
    .replace(/!?\[([^\]\n]*)\]\([^)\n]*\)/g, "$1")
    .replace(/^[ \t]*(?:#{1,6}|>|[-*+]|\d+[.)])[ \t]+/gm, "")
    .replace(/[*_~`|]+/g, "")
    .replace(/\s+/g, " ")
    .trim();
}

let made: Intl.Segmenter | undefined;

function segmenter(): Intl.Segmenter {
  return (made ??= new Intl.Segmenter(undefined, { granularity: "sentence" }));
}
