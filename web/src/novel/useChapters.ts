import { answer, api } from "@/api/client";
import { useLoaded } from "@/components/useLoaded";

/** The chapters of a novel. */
export function useChapters(novelId: () => string | undefined) {
  return useLoaded(async (signal) => {
    const novel_id = novelId();
    if (!novel_id) return [];
    const path = { novel_id };
    return (await answer(api.GET("/api/novels/{novel_id}/chapters", { params: { path }, signal }))).chapters;
  }, novelId);
}
