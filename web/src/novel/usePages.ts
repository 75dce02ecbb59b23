import { onScopeDispose, ref, shallowRef } from "vue";
import { answer, api } from "@/api/client";
import { defined } from "@/api/defined";
import { beginning, extendedAfter, extendedBefore, type Around, type Stretch } from "./pages";

const STEP = 6;

interface Place {
  novelId: string;
  passageId: string;
  until: number | undefined;
}

interface Reach {
  before: number;
  after: number;
}

async function read(place: Place, reach: Reach, signal: AbortSignal): Promise<Around> {
  const path = { novel_id: place.novelId, passage_id: place.passageId };
  const query = defined({ ...reach, until_chapter: place.until });
  return answer(api.GET("/api/novels/{novel_id}/passages/{passage_id}", { params: { path, query }, signal }));
}

/** A passage in its place, and the reading on from there in both directions, within the limit of the beginning. */
export function usePages(place: Place, readAround = read) {
  const stretch = shallowRef<Stretch>();
  const error = shallowRef<unknown>();
  const loading = ref(false);
  const leaving = new AbortController();
  onScopeDispose(() => leaving.abort());
  let again: () => Promise<void> = begin;

  async function reading(act: () => Promise<void>): Promise<void> {
    if (loading.value) return;
    loading.value = true;
    error.value = undefined;
    again = () => reading(act);
    try {
      await act();
    } catch (failure) {
      if (!leaving.signal.aborted) error.value = failure;
    } finally {
      loading.value = false;
    }
  }

  function begin(): Promise<void> {
    return reading(async () => {
      stretch.value = beginning(await readAround(place, { before: 2, after: 4 }, leaving.signal));
    });
  }

  /** Reads on; nothing happens where the novel or the limit ends. */
  function more(side: "before" | "after"): Promise<void> {
    return reading(async () => {
      const now = stretch.value;
      const edge = side === "before" ? now?.passages[0] : now?.passages.at(-1);
      if (!now || !edge) return;
      const from = { novelId: place.novelId, passageId: edge.id, until: now.until };
      const reach = side === "before" ? { before: STEP, after: 0 } : { before: 0, after: STEP };
      const around = await readAround(from, reach, leaving.signal);
      stretch.value = side === "before" ? extendedBefore(now, around) : extendedAfter(now, around);
    });
  }

  return { stretch, error, loading, begin, more, retry: () => again() };
}
