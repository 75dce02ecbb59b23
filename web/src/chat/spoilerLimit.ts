import { answer, api } from "@/api/client";
import type { Conversation } from "@/api/types";

/**
 * The last chapter that a conversation's reader is to be shown: the lower of the scenario's limit and, where the
 * scenario heeds it, of how far the reader has read; undefined: all of them.
 *
 * Raises ApiError.
 */
export async function spoilerLimit(conversation: Conversation): Promise<number | undefined> {
  const scenario = await answer(
    api.GET("/api/scenarios/{scenario_id}", { params: { path: { scenario_id: conversation.scenario_id } } }),
  );
  if (!scenario.until_read) return scenario.until_chapter;
  const progress = await answer(
    api.GET("/api/novels/{novel_id}/progress", { params: { path: { novel_id: conversation.novel_id } } }),
  );
  return Math.min(progress.chapter ?? 0, scenario.until_chapter ?? Infinity);
}
