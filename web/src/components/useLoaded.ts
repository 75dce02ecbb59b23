import { onScopeDispose, ref, shallowRef, watch, type WatchSource } from "vue";

/**
 * Something that is fetched when the page opens and again when what it depends on changes; the newest call counts.
 *
 * `load` gets a signal that ends with the page or the next call.
 */
export function useLoaded<T>(load: (signal: AbortSignal) => Promise<T>, ...sources: WatchSource[]) {
  const value = shallowRef<T>();
  const error = shallowRef<unknown>();
  const loading = ref(false);
  let running: AbortController | undefined;

  async function reload(): Promise<void> {
    running?.abort();
    const mine = (running = new AbortController());
    loading.value = true;
    try {
      const loaded = await load(mine.signal);
      if (mine.signal.aborted) return;
      value.value = loaded;
      error.value = undefined;
    } catch (failure) {
      if (!mine.signal.aborted) error.value = failure;
    } finally {
      if (running === mine) loading.value = false;
    }
  }

  watch(sources, reload, { immediate: true });
  onScopeDispose(() => running?.abort());
  return { value, error, loading, reload };
}
