import { ref } from "vue";
import { useMedia } from "@/shell/useMedia";
import { notify } from "@/shell/notices";

/**
 * Whether the branches are shown, beside the conversation or, where there is no room, over it.
 *
 * `load` reads them; from then on they are to be kept as they are.
 */
export function useTree(load: () => Promise<void>) {
  const open = ref(false);
  const beside = useMedia("(min-width: 64rem)");

  async function toggle(): Promise<void> {
    if (open.value) {
      open.value = false;
      return;
    }
    try {
      await load();
      open.value = true;
    } catch (error) {
      notify(error);
    }
  }

  return { open, beside, toggle };
}
