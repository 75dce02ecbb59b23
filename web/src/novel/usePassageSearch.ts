import { onScopeDispose, ref, shallowRef, watch } from "vue";
import { answer, api } from "@/api/client";
import { defined } from "@/api/defined";
import type { Passage } from "@/api/types";

const PAUSE_MS = 300;
const TOP = 8;
const LONGEST = 1_000;

export interface Question {
  novelId: string;
  /** What to look for. */
  query: string;
  /** The last chapter that may be shown; undefined: all. */
  until: number | undefined;
}

export interface Found {
  query: string;
  passages: readonly Passage[];
}

async function search({ novelId, query, until }: Question, signal: AbortSignal): Promise<readonly Passage[]> {
  const body = defined({ novel_id: novelId, query, top_k: TOP, until_chapter: until });
  return (await answer(api.POST("/api/search/passages", { body, signal }))).passages;
}

/** A letter of an alphabet tells nothing, a syllable or a character may be a word. */
const tells = (query: string) => query.length > 1 || /\p{Script=Hangul}|\p{Script=Han}/u.test(query);

/**
 * Looks for passages while somebody types: a moment after the last letter, and the answer to the newest question alone.
 *
 * What was found before stays until there is something new, so that the page does not flicker.
 */
export function usePassageSearch(question: () => Question, find = search) {
  const found = shallowRef<Found>();
  const error = shallowRef<unknown>();
  const loading = ref(false);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running: AbortController | undefined;

  function stop(): void {
    clearTimeout(timer);
    running?.abort();
    loading.value = false;
  }

  async function ask(): Promise<void> {
    stop();
    const asked = question();
    const query = asked.query.trim().slice(0, LONGEST);
    error.value = undefined;
    if (!tells(query)) {
      found.value = undefined;
      return;
    }
    const mine = (running = new AbortController());
    loading.value = true;
    try {
      const passages = await find({ ...asked, query }, mine.signal);
      if (!mine.signal.aborted) found.value = { query, passages };
    } catch (failure) {
      if (!mine.signal.aborted) error.value = failure;
    } finally {
      if (running === mine) loading.value = false;
    }
  }

  watch(
    () => JSON.stringify(question()),
    () => {
      stop();
      timer = setTimeout(() => void ask(), PAUSE_MS);
    },
  );
  if (question().query) void ask();
  onScopeDispose(stop);
  return { found, error, loading, ask };
}
