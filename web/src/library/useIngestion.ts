import { onScopeDispose, shallowRef, watch } from "vue";
import { answer, api } from "@/api/client";
import type { Novel, Progress } from "@/api/types";
import { useEventStream } from "@/streams/useEventStream";
import { ingestionSlots } from "./slots";

/** Of one that waits for its turn nothing is told for as long as others take. */
const A_DAY = 86_400_000;

/**
 * Follows the ingestion of a novel, live, while `novelId` gives one; `ended` hears how the novel stands then.
 *
 * `progress` is undefined until something is known; `error`: it cannot be followed any more, until `retry`.
 */
export function useIngestion(novelId: () => string | undefined, ended: (novel: Novel) => void) {
  const progress = shallowRef<Progress>();
  const lost = shallowRef<unknown>();
  let leave: (() => void) | undefined;

  const stream = useEventStream(
    ({ name, data }) => {
      if (name === "progress") progress.value = data as Progress;
    },
    { patience: { first: A_DAY, later: A_DAY } },
  );

  function stop(): void {
    stream.close();
    leave?.();
    leave = undefined;
  }

  function follow(id: string | undefined): void {
    stop();
    progress.value = lost.value = undefined;
    if (id) leave = ingestionSlots.take(() => stream.open(`/api/novels/${id}/ingestion-stream`));
  }

  /** Whatever the stream's last word was, the novel itself says how it stands. */
  async function look(id: string): Promise<void> {
    try {
      const novel = await answer(api.GET("/api/novels/{novel_id}", { params: { path: { novel_id: id } } }));
      if (novelId() === id) ended(novel);
    } catch (failure) {
      lost.value = failure;
    }
  }

  watch(novelId, follow, { immediate: true });
  watch(stream.state, (state) => {
    const id = novelId();
    if (state === "failed") lost.value = stream.error.value;
    if (state !== "failed" && state !== "ended") return;
    leave?.();
    leave = undefined;
    if (state === "ended" && id) void look(id);
  });
  onScopeDispose(stop);
  return { progress, error: lost, retry: () => follow(novelId()) };
}
