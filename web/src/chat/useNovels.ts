import { onScopeDispose, shallowRef, watch } from "vue";
import { answer, api } from "@/api/client";
import type { Novel } from "@/api/types";

/** The novels of what is listed, each asked for once. One that cannot be had is left out: its title is not the point. */
export function useNovels(ids: () => readonly string[]) {
  const novels = shallowRef<ReadonlyMap<string, Novel>>(new Map());
  const asked = new Set<string>();
  const leaving = new AbortController();

  async function load(id: string): Promise<void> {
    asked.add(id);
    try {
      const path = { novel_id: id };
      const novel = await answer(api.GET("/api/novels/{novel_id}", { params: { path }, signal: leaving.signal }));
      novels.value = new Map([...novels.value, [id, novel]]);
    } catch {
      asked.delete(id); // it is asked for with the next page
    }
  }

  watch(ids, (now) => void Promise.all([...new Set(now)].filter((id) => !asked.has(id)).map(load)), {
    immediate: true,
  });
  onScopeDispose(() => leaving.abort());
  return novels;
}
