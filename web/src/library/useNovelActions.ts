import { ref } from "vue";
import { answer, api } from "@/api/client";
import type { Novel } from "@/api/types";
import { notify } from "@/shell/notices";

/** What an owner does about the ingestion of a novel. What goes wrong is told at the edge of the page. */
export function useNovelActions(novelId: () => string, changed: (novel: Novel) => void) {
  const busy = ref(false);

  async function act(call: () => Promise<Novel>): Promise<void> {
    busy.value = true;
    try {
      changed(await call());
    } catch (error) {
      notify(error);
    } finally {
      busy.value = false;
    }
  }

  const of = () => ({ params: { path: { novel_id: novelId() } }, body: {} });
  const cancel = () => act(() => answer(api.POST("/api/novels/{novel_id}:cancelIngestion", of())));
  const again = () => act(() => answer(api.POST("/api/novels/{novel_id}:reingest", of())));

  /** Raises ApiError. */
  async function remove(): Promise<void> {
    const path = { novel_id: novelId() };
    await answer(api.DELETE("/api/novels/{novel_id}", { params: { path } }));
  }

  return { busy, cancel, again, remove };
}
