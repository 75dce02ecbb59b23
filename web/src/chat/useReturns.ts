import { onScopeDispose } from "vue";

const SECONDS = 5;

/** Calls when the reader comes back to the page, or the network does; not more often than every 5 s. */
export function useReturns(call: () => void): void {
  let last = Date.now();
  const until = new AbortController();
  const { signal } = until;

  function back(): void {
    const now = Date.now();
    if (document.visibilityState !== "visible" || Math.abs(now - last) < SECONDS * 1000) return;
    last = now;
    call();
  }

  document.addEventListener("visibilitychange", back, { signal });
  for (const name of ["focus", "online", "pageshow"]) addEventListener(name, back, { signal });
  onScopeDispose(() => until.abort());
}
