import { computed, onScopeDispose, ref, shallowRef } from "vue";
import { answer, api } from "@/api/client";
import type { Conversation } from "@/api/types";

const PAGE = 20;

/** The reader's conversations, last used first, page by page. */
export function useTalks() {
  const talks = shallowRef<readonly Conversation[]>();
  const next = ref("");
  const error = shallowRef<unknown>();
  const loading = ref(false);
  const leaving = new AbortController();

  async function load(token: string): Promise<void> {
    if (loading.value) return;
    loading.value = true;
    try {
      const query = token ? { page_size: PAGE, page_token: token } : { page_size: PAGE };
      const page = await answer(api.GET("/api/conversations", { params: { query }, signal: leaving.signal }));
      const known = token ? (talks.value ?? []) : [];
      // One that was used meanwhile has moved to the front, and others have moved over the edge of the page.
      const ids = new Set(known.map((talk) => talk.conversation_id));
      talks.value = [...known, ...page.conversations.filter((talk) => !ids.has(talk.conversation_id))];
      next.value = page.next_page_token;
      error.value = undefined;
    } catch (failure) {
      if (!leaving.signal.aborted) error.value = failure;
    } finally {
      loading.value = false;
    }
  }

  /** Deletes one. Raises ApiError. */
  async function remove(id: string): Promise<void> {
    await answer(api.DELETE("/api/conversations/{conversation_id}", { params: { path: { conversation_id: id } } }));
    talks.value = talks.value?.filter((talk) => talk.conversation_id !== id);
  }

  void load("");
  onScopeDispose(() => leaving.abort());
  return {
    talks,
    error,
    loading,
    more: computed(() => next.value !== ""),
    /** The next page, or the first once more where there is none yet. */
    load: () => load(next.value),
    remove,
  };
}
