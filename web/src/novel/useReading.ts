import { computed } from "vue";
import { answer, api } from "@/api/client";
import type { Novel } from "@/api/types";
import { useLoaded } from "@/components/useLoaded";

/**
 * How far the reader has read a novel, and what may be shown of it.
 *
 * Who has said nothing is shown the first chapter and no more: what is told there spoils nothing. A progress that cannot
 * be read counts as nothing said.
 */
export function useReading(novel: () => Novel | undefined) {
  const { value, error, loading, reload } = useLoaded(
    async (signal) => {
      const novel_id = novel()?.novel_id;
      if (!novel_id) return undefined;
      return answer(api.GET("/api/novels/{novel_id}/progress", { params: { path: { novel_id } }, signal }));
    },
    () => novel()?.novel_id,
  );

  const said = computed(() => value.value?.chapter);
  const known = computed(() => value.value !== undefined || error.value !== undefined);

  /** The last chapter that may be told of; undefined: all of them. */
  const limit = computed(() => {
    const chapters = novel()?.chapters ?? 0;
    const read = said.value ?? 1;
    return read >= chapters ? undefined : read;
  });

  /** Notes the last chapter that was read. Raises ApiError. */
  async function say(chapter: number): Promise<void> {
    const path = { novel_id: novel()?.novel_id ?? "" };
    value.value = await answer(api.PUT("/api/novels/{novel_id}/progress", { params: { path }, body: { chapter } }));
  }

  return { said, known, limit, loading, say, reload };
}
