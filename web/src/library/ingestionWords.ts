// An ingestion's stages and failures in the reader's language.
import type { Failure, Progress } from "@/api/types";
import type { Translate } from "@/i18n/translate";

const STAGES = new Set(["queued", "chapters", "passages", "characters", "embedding", "storing", "complete"]);
const REASONS = new Set(["INGESTION_CANCELLED", "INGESTION_CUT", "INGESTION_BROKE"]);

/** What is being done; a stage of a later release is told as the service tells it. */
export function stageWords(progress: Progress, t: Translate): string {
  return STAGES.has(progress.stage) ? t(`library.stages.${progress.stage}`) : progress.message || progress.stage;
}

/** How long it is going to take; empty: nobody knows yet. */
export function remainingWords(progress: Progress, t: Translate): string {
  const seconds = progress.remaining_seconds;
  if (seconds === undefined || progress.progress >= 100) return "";
  if (seconds < 60) return t("library.secondsLeft", { n: Math.max(1, seconds) });
  return t("library.minutesLeft", { n: Math.round(seconds / 60) });
}

/** Why an ingestion failed. */
export function failureWords(failure: Failure | undefined, t: Translate): string {
  if (!failure) return t("library.failed");
  return REASONS.has(failure.reason) ? t(`library.reasons.${failure.reason}`) : failure.message;
}
