import { onScopeDispose, ref, shallowRef } from "vue";
import { answer, api } from "@/api/client";
import type { Novel } from "@/api/types";

const PAGE = 24;

/** The novels that the reader sees, newest first, page by page. */
export function useShelf() {
  const novels = shallowRef<readonly Novel[]>([]);
  const next = ref<string>();
  const loading = ref(false);
  const loaded = ref(false);
  const error = shallowRef<unknown>();
  const leaving = new AbortController();
  onScopeDispose(() => leaving.abort());

  async function more(): Promise<void> {
    if (loading.value) return;
    loading.value = true;
    try {
      const query = { page_size: PAGE, page_token: next.value ?? "" };
      const page = await answer(api.GET("/api/novels", { params: { query }, signal: leaving.signal }));
      const known = new Set(novels.value.map((novel) => novel.novel_id));
      novels.value = [...novels.value, ...page.novels.filter((novel) => !known.has(novel.novel_id))];
      next.value = page.next_page_token;
      loaded.value = true;
      error.value = undefined;
    } catch (failure) {
      if (!leaving.signal.aborted) error.value = failure;
    } finally {
      loading.value = false;
    }
  }

  /** Puts a novel that is new on the shelf, in front. Raises ApiError. */
  async function add(novelId: string): Promise<Novel> {
    const path = { novel_id: novelId };
    const novel = await answer(api.GET("/api/novels/{novel_id}", { params: { path }, signal: leaving.signal }));
    remove(novelId);
    novels.value = [novel, ...novels.value];
    return novel;
  }

  function change(changed: Novel): void {
    novels.value = novels.value.map((novel) => (novel.novel_id === changed.novel_id ? changed : novel));
  }

  function remove(novelId: string): void {
    novels.value = novels.value.filter((novel) => novel.novel_id !== novelId);
  }

  void more();
  return { novels, next, loading, loaded, error, more, add, change, remove };
}
