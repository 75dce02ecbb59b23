import { expect, test } from "vitest";
import { failureWords, remainingWords, stageWords } from "@/library/ingestionWords";

const t = (key: string, named?: object) => (named ? `${key} ${JSON.stringify(named)}` : key);

test("known stages are told in the reader's language, others as they come", () => {
  const progress = { progress: 40, stage: "embedding", message: "Read 4 of 10 passages" };
  expect(stageWords(progress, t)).toBe("library.stages.embedding");
  expect(stageWords({ ...progress, stage: "later" }, t)).toBe("Read 4 of 10 passages");
});

test("what remains is told where it is known", () => {
  const progress = { progress: 40, stage: "embedding", message: "" };
  expect(remainingWords(progress, t)).toBe("");
  expect(remainingWords({ ...progress, remaining_seconds: 0 }, t)).toBe('library.secondsLeft {"n":1}');
  expect(remainingWords({ ...progress, remaining_seconds: 100 }, t)).toBe('library.minutesLeft {"n":2}');
  expect(remainingWords({ ...progress, progress: 100, remaining_seconds: 9 }, t)).toBe("");
});

test("a failure is told in words, if need be in the service's", () => {
  const failure = { code: "CANCELLED", reason: "INGESTION_CANCELLED", message: "stopped", retryable: true };
  expect(failureWords(failure, t)).toBe("library.reasons.INGESTION_CANCELLED");
  expect(failureWords({ ...failure, reason: "NEW" }, t)).toBe("stopped");
  expect(failureWords(undefined, t)).toBe("library.failed");
});
