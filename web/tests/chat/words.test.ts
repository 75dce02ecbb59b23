import { expect, test } from "vitest";
import { plain } from "@/chat/plain";
import { fileName } from "@/chat/saveFile";
import { failureWords, placeWords, stageWords } from "@/chat/words";

const t = (key: string, named: Record<string, unknown>) => `${key}(${named["name"]})`;

test("codes have words, and what has none is said as the service says it", () => {
  expect(stageWords(t, undefined, "Emma")).toBe("chat.stageBegun(Emma)");
  expect(stageWords(t, { progress: 70, stage: "prompt", message: "Emma thinks" }, "Emma")).toBe(
    "chat.stageThinking(Emma)",
  );
  expect(stageWords(t, { progress: 10, stage: "new", message: "Something new" }, "Emma")).toBe("Something new");
  const failure = { code: "UNAVAILABLE", message: "the tide is out", retryable: true };
  expect(failureWords(t, { ...failure, reason: "MODEL_BUSY" }, "Emma")).toBe("chat.failedBusy(Emma)");
  expect(failureWords(t, { ...failure, reason: "TIDE" }, "Emma")).toBe("the tide is out");
  expect(failureWords(t, { ...failure, reason: "TIDE", message: "" }, "Emma")).toBe("chat.failedUnknown(Emma)");
  expect(failureWords(t, undefined, "Emma")).toBe("chat.failedUnknown(Emma)");
});

test("files have names that every system takes", () => {
  expect(fileName("Emma, What if: she/he?\u202e", "md")).toBe("Emma, What if she he.md");
  expect(fileName("엠마, 만약에", "json")).toBe("엠마, 만약에.json");
  expect(fileName("???", "md")).toBe("conversation.md");
  expect(fileName("🌿".repeat(200), "md")).toBe(`${"🌿".repeat(80)}.md`);
});

test("one line shows a message without its marks", () => {
  expect(plain("*She smiles.*\n\n**No**, I _never_ said snake_case_words, 2 * 3 * 4.")).toBe(
    "She smiles. No, I never said snake_case_words, 2 * 3 * 4.",
  );
});

test("a place in the book says its chapter once", () => {
  const say = (chapter: number, title: string) =>
    placeWords((key, named) => (key === "chat.chapter" ? `Chapter ${named["chapter"]}` : "Before"), chapter, title);
  expect(say(3, "Chapter 3. The Letter")).toBe("Chapter 3 · The Letter");
  expect(say(3, "CHAPTER III")).toBe("Chapter 3");
  expect(say(3, "III: The Letter")).toBe("Chapter 3 · The Letter");
  expect(say(3, "3")).toBe("Chapter 3");
  expect(say(3, "제3장 편지")).toBe("Chapter 3 · 편지");
  expect(say(3, "Civil War")).toBe("Chapter 3 · Civil War");
  expect(say(3, "Chapter in the Dark")).toBe("Chapter 3 · Chapter in the Dark");
  expect(say(3, "")).toBe("Chapter 3");
  expect(say(0, "")).toBe("Before");
});
