import { ref, watch, type Ref } from "vue";

/** What is being written and not sent yet; it outlives a reload of the tab. `key` says for what. */
export function useDraft(key: () => string): Ref<string> {
  const text = ref("");

  watch(
    key,
    (now) => {
      try {
        text.value = sessionStorage.getItem(now) ?? "";
      } catch {
        text.value = ""; // the browser keeps nothing for this page
      }
    },
    { immediate: true },
  );

  watch(
    text,
    (now) => {
      try {
        if (now) sessionStorage.setItem(key(), now);
        else sessionStorage.removeItem(key());
      } catch {
        // Full, or not allowed: the text is on the page all the same.
      }
    },
    // At once: a key that changes in the same tick must not get the other's text.
    { flush: "sync" },
  );
  return text;
}
