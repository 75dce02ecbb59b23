import { onBeforeUnmount, onMounted, ref, watch, type Ref } from "vue";

const NEAR = 64; // pixels; so near the end is at the end

/**
 * Keeps the end of the page in view while it grows, as long as the reader is there: whoever scrolls up reads in peace,
 * and whoever comes back to the end goes along again.
 *
 * `grown` is the element that grows.
 */
export function useFollowing(grown: Ref<HTMLElement | undefined>) {
  const following = ref(true);
  let last = 0;
  const page = () => document.scrollingElement ?? document.documentElement;
  const below = () => page().scrollHeight - page().scrollTop - innerHeight;

  /** Goes to the end, and stays there. */
  function toEnd(): void {
    following.value = true;
    page().scrollTop = page().scrollHeight;
  }

  function scrolled(): void {
    // Growth moves the end away as well; only the reader moves up.
    if (below() <= NEAR) following.value = true;
    else if (page().scrollTop < last) following.value = false;
    last = page().scrollTop;
  }

  const watcher = new ResizeObserver(() => {
    if (following.value) toEnd();
  });
  watch(
    grown,
    (now, before) => {
      if (before) watcher.unobserve(before);
      if (now) watcher.observe(now);
    },
    { flush: "post" },
  );
  onMounted(() => {
    last = page().scrollTop;
    addEventListener("scroll", scrolled, { passive: true });
    if (grown.value) watcher.observe(grown.value);
  });
  onBeforeUnmount(() => {
    removeEventListener("scroll", scrolled);
    watcher.disconnect();
  });

  /** Lets go of the end, to show something else. */
  const leave = () => (following.value = false);
  return { following, toEnd, leave };
}
