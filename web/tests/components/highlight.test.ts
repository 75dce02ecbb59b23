import fc from "fast-check";
import { expect, test } from "vitest";
import { highlight } from "@/components/highlight";

const marked = (text: string, query: string) =>
  highlight(text, query)
    .filter((segment) => segment.marked)
    .map((segment) => segment.text);

test("words are marked whatever their case, in their other forms, and as whole words", () => {
  const text = "The letters burned. A LETTER, unread; a letterbox. He carried them, she carries on, danced the dance.";
  expect(marked(text, "letter")).toEqual(["letters", "LETTER"]);
  expect(marked(text, "carry dancing")).toEqual(["carried", "carries", "danced", "dance"]);
  expect(marked("He is no hero, and here is her horse.", "her here he")).toEqual([]);
});

test("what stands everywhere is not marked, and so the rest can be seen", () => {
  expect(marked("What did the lamplighter do with the oil?", "what did the lamplighter do")).toEqual(["lamplighter"]);
  expect(marked("The end", "the of and")).toEqual([]);
});

test("Korean nouns are found whatever particle follows them", () => {
  const text = "엘리자베스는 편지를 읽었다. 그 편지에서 다아시가 모든 것을 말했다. 새편지.";
  expect(marked(text, "엘리자베스가 다아시의 편지를")).toEqual(["엘리자베스", "편지", "편지", "다아시"]);
  expect(marked("나는 강가에 섰다", "강가")).toEqual(["강가"]);
  expect(marked("彼女は手紙を読んだ", "手紙")).toEqual(["手紙"]);
});

test("signs in a query are signs and no pattern", () => {
  expect(marked("(a+b) costs $5.00 [really]", "$5.00 (a+b)* [really] \\d .*")).toEqual(["00", "really"]);
  expect(marked("<b>lamp</b>", "<b>lamp")).toEqual(["lamp"]);
  expect(highlight("", "lamp")).toEqual([]);
  expect(highlight("lamp", "")).toEqual([{ text: "lamp", marked: false }]);
});

test("the pieces are the text, for any text and any query", () => {
  const words = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.constantFrom("lamp", "편지를", "İı", "ß", "e\u0301", "(", "\\"),
  );
  fc.assert(
    fc.property(fc.array(words, { maxLength: 8 }), fc.array(words, { maxLength: 8 }), (text, query) => {
      const whole = text.join(" ");
      const segments = highlight(whole, query.join(" "));
      expect(segments.map((segment) => segment.text).join("")).toBe(whole);
      expect(segments.every((segment) => segment.text)).toBe(true);
    }),
  );
});
