import { nextTick, ref, shallowRef } from "vue";
import { useI18n } from "vue-i18n";
import { useRouter } from "vue-router";
import type { Citation } from "@/api/types";
import { notify, say } from "@/shell/notices";
import type { Acts } from "./acts";
import type { Entry } from "./entries";
import type { useConversation } from "./useConversation";

/**
 * What the reader does with messages, one thing at a time.
 *
 * `toWriting` moves the keyboard to where the reader writes, `toEnd` the view to the newest message.
 *
 * `removing` is a message that is about to be deleted, once the reader has said so; `cited` the passage that is open.
 */
export function useActs(
  talk: ReturnType<typeof useConversation>,
  { toWriting, toEnd }: { toWriting: () => unknown; toEnd: () => void },
) {
  const { t } = useI18n();
  const router = useRouter();
  const removing = shallowRef<Entry>();
  const cited = shallowRef<Citation>();
  const working = ref(false);

  /** Does one thing, says what went wrong; while it lasts nothing else is begun. */
  async function once(act: () => Promise<void>): Promise<void> {
    if (working.value) return;
    working.value = true;
    try {
      await act();
    } catch (error) {
      notify(error);
    } finally {
      working.value = false;
    }
  }

  async function copy(text: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      say(t("chat.copied"));
    } catch {
      say(t("chat.notCopied"), "bad");
    }
  }

  const acts: Acts = {
    copy: (entry) => void copy(entry.text),
    regenerate: (entry) =>
      void once(async () => {
        await talk.regenerate(entry.id);
        toEnd();
        toWriting(); // the button that was pressed is gone
      }),
    async edit(entry, content) {
      await talk.edit(entry.id, content);
      toEnd();
      await nextTick();
      toWriting();
    },
    fork: (entry) =>
      void once(async () => {
        const made = await talk.fork(entry.id);
        await router.push({ name: "conversation", params: { conversationId: made.conversation_id } });
        say(t("chat.forked"));
      }),
    remove: (entry) => (removing.value = entry),
    turn: (entry, step) =>
      void once(async () => {
        const all = await talk.alternatives(entry.id);
        const here = all.findIndex((one) => one.message_id === entry.id);
        const to = all[here + step];
        if (here >= 0 && to) await talk.choose(to.message_id);
      }),
    retry: (entry) =>
      void once(async () => {
        // One that is still shown as it came is taken up where it was; a stored one is written anew.
        if (talk.live.value?.messageId === entry.id) await talk.retry();
        else await talk.regenerate(entry.id);
        toWriting();
      }),
    open: (citation) => (cited.value = citation),
  };

  async function remove(): Promise<void> {
    if (!removing.value) return;
    await talk.remove(removing.value.id);
    say(t("chat.removed"));
  }

  return { acts, removing, remove, cited, once };
}
