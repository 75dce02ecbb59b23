// Which words stand for what the services say by codes. What has none here is said in the services' own words.
import type { Failure, Progress } from "@/api/types";

const STAGES: Record<string, string> = {
  context: "chat.stageContext",
  passages: "chat.stagePassages",
  search: "chat.stagePassages",
  prompt: "chat.stageThinking",
  thinking: "chat.stageThinking",
  writing: "chat.stageWriting",
};

const FAILURES: Record<string, string> = {
  MODEL_BUSY: "chat.failedBusy",
  MODEL_UNREACHABLE: "chat.failedUnreachable",
  MODEL_STREAM_BROKEN: "chat.failedBroken",
  MODEL_TOO_SLOW: "chat.failedSlow",
  MODEL_REFUSED: "chat.failedRefused",
  MODEL_SILENT: "chat.failedSilent",
  MODEL_FAILED: "chat.failedModel",
  MODEL_MISCONFIGURED: "chat.failedModel",
  PROMPT_TOO_LONG: "chat.failedLong",
  REPLY_CUT: "chat.failedBroken",
  UNREACHABLE: "chat.failedNetwork",
};

const DEGRADED: Record<string, string> = {
  SEARCH_UNAVAILABLE: "chat.degradedSearch",
  PROVIDER_FALLBACK: "chat.degradedProvider",
};

type Translate = (key: string, named: Record<string, unknown>) => string;

/** What is being done for a reply; `name` is who writes it. */
export function stageWords(t: Translate, progress: Progress | undefined, name: string): string {
  const key = progress ? STAGES[progress.stage] : "chat.stageBegun";
  return key ? t(key, { name }) : (progress?.message ?? "");
}

/** Why a reply was given up. */
export function failureWords(t: Translate, failure: Failure | undefined, name: string): string {
  const key = failure ? FAILURES[failure.reason] : "chat.failedUnknown";
  return key ? t(key, { name }) : failure?.message || t("chat.failedUnknown", { name });
}

/** In which ways a reply is less than it could be; ways that have no words are left out. */
export function degradedWords(t: Translate, degraded: readonly string[], name: string): string[] {
  return degraded.flatMap((way) => (DEGRADED[way] ? [t(DEGRADED[way], { name })] : []));
}

// The number with which headings begin: "Chapter 12. ", "XII. ", "3 ", "제3장 ".
const NUMBER =
  /^(?:chapter\s+(?:\d+|[ivxlc]+)|[ivxlc]+(?=\s*(?:[.:]|$))|제?\s*\d+\s*[장화회]|\d+)(?![\p{L}\p{N}])\s*[.:—–-]*\s*/iu;

/** Where in the book a passage stands; a heading that begins with its number does not say it twice. */
export function placeWords(t: Translate, chapter: number, title: string): string {
  const number = chapter ? t("chat.chapter", { chapter }) : t("chat.beginning", {});
  const rest = title.replace(NUMBER, "").trim();
  return rest ? `${number} · ${rest}` : number;
}
