import { expect, test } from "vitest";
import { plain } from "@/chat/plain";
import { fileName } from "@/chat/saveFile";
import { failureWords, stageWords } from "@/chat/words";

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
