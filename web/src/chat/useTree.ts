import { ref, watch } from "vue";
import { useMedia } from "@/shell/useMedia";
import { notify } from "@/shell/notices";
import type { useConversation } from "./useConversation";

/**
 * Whether the branches are shown, beside the conversation or, where there is no room, over it; while they are, they
 * are kept as they are.
 */
export function useTree(talk: ReturnType<typeof useConversation>) {
  const open = ref(false);
  const beside = useMedia("(min-width: 64rem)");

  async function load(): Promise<boolean> {
    try {
      await talk.loadTree();
      return true;
    } catch (error) {
      notify(error);
      return false;
    }
  }

  async function toggle(): Promise<void> {
    open.value = !open.value && (await load());
  }

  // A live reply changes with each frame; that one begins or ends is what counts here.
  watch([talk.messages, () => talk.live.value?.messageId, talk.busy], () => {
    if (open.value) void load();
  });
  return { open, beside, toggle };
}
