import { computed, type ComputedRef, type Ref } from "vue";
import type { Message } from "@/api/types";
import { before, entryOf, entryOfLive, type Entry } from "./entries";
import type { LiveReply } from "./useConversation";

/**
 * The messages as they are shown, the one that is being written included. The entry of a message stays the same object
 * as long as the message does: with each word the reply's own part of the page is made anew, and no other.
 */
export function useEntries(talk: {
  messages: Readonly<Ref<readonly Message[]>>;
  live: Readonly<Ref<LiveReply | undefined>>;
}): ComputedRef<readonly Entry[]> {
  const known = new WeakMap<Message, Entry>();

  function kept(message: Message, place: number): Entry {
    const had = known.get(message);
    if (had?.place === place) return had;
    const made = entryOf(message, place);
    known.set(message, made);
    return made;
  }

  const stored = computed(() => talk.messages.value.map(kept));
  return computed(() => {
    const live = talk.live.value;
    if (!live) return stored.value;
    const instead = stored.value.find((entry) => entry.id && entry.id === live.replaces);
    const standing = before(stored.value, live);
    return [...standing, entryOfLive(live, standing.length, instead)];
  });
}
