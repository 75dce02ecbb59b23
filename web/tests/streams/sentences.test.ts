// @vitest-environment node
import fc from "fast-check";
import { expect, test } from "vitest";
import { spoken, wholeSentences } from "@/streams/sentences";

test.each([
  ["", 0],
  ["I never", 0],
  ["I never said so. ", 0],
  ["I never said so. And y", "I never said so. ".length],
  ["One line\nand", "One line\n".length],
  ["그녀는 웃었다. 그리고", "그녀는 웃었다. ".length],
])("of %j so much is whole", (text, length) => {
  expect(wholeSentences(text, false)).toBe(length);
});

test("what is whole stays whole, whatever comes", () => {
  const words = fc.array(fc.constantFrom("She", " left", ". ", "! ", "\n", "Why", "? ", "…", " 그래요", "“No”"), {
    maxLength: 20,
  });
  fc.assert(
    fc.property(words, words, (before, more) => {
      const text = before.join("");
      const whole = wholeSentences(text, false);
      expect(whole).toBeLessThanOrEqual(text.length);
      expect(wholeSentences(text + more.join(""), true)).toBeGreaterThanOrEqual(whole);
    }),
  );
});

test("marks are not said", () => {
  expect(spoken("## Well\n\n> *Never*, **never** `so`\n- [here](https://x.example/y)")).toBe(
    "Well Never, never so here",
  );
  expect(spoken("  3 apples and 2 - 1  ")).toBe("3 apples and 2 - 1");
});
