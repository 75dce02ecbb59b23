import { onScopeDispose, ref, shallowRef, watch } from "vue";
import type { Conversation, Message } from "@/api/types";
import { merged } from "./branch";
import { BranchReader, getConversation } from "./conversationCalls";

/**
 * A conversation and its chosen branch as they are stored.
 *
 * @param conversationId the conversation; another one is loaded when it changes
 * @param loaded called after each loading that succeeded
 */
export function useBranch(conversationId: () => string, loaded: () => void) {
  const conversation = shallowRef<Conversation>();
  /** Oldest first, those included that are being written. */
  const branch = shallowRef<readonly Message[]>([]);
  const error = shallowRef<unknown>();
  const loading = ref(false);
  let reader = new BranchReader("");
  let running = new AbortController();

  /** The newest call counts; returns whether it is this one, and has succeeded. */
  async function load(read: (signal: AbortSignal) => Promise<void>, quiet: boolean): Promise<boolean> {
    running.abort();
    const { signal } = (running = new AbortController());
    if (!quiet) loading.value = true;
    try {
      await read(signal);
      if (signal.aborted) return false;
      error.value = undefined;
      loading.value = false;
      loaded();
      return true;
    } catch (failure) {
      if (signal.aborted) return false;
      loading.value = false;
      // What is shown already is better than an error in its place.
      if (!quiet || !conversation.value) error.value = failure;
      return false;
    }
  }

  async function read(signal: AbortSignal, messages: Promise<readonly Message[]>): Promise<void> {
    const [now, list] = await Promise.all([getConversation(conversationId(), signal), messages]);
    if (!signal.aborted) take(now, list);
  }

  function take(now: Conversation, list: readonly Message[]): void {
    // While the library is away the gateway gives copies, which may be older than what is known.
    if (conversation.value && time(now) < time(conversation.value)) return;
    conversation.value = now;
    branch.value = merged(branch.value, list);
  }

  /** Loads both. `quiet`: without a word where it fails. */
  const reload = (quiet = false) => load((signal) => read(signal, reader.all(signal)), quiet);

  /** Loads what the branch has grown by. */
  const grow = () => load((signal) => read(signal, reader.grown(signal)), true);

  /** Loads the branch if the conversation was changed since. */
  const revalidate = () =>
    load(async (signal) => {
      const { value: before } = conversation;
      const now = await getConversation(conversationId(), signal);
      if (signal.aborted || (before?.updated_at === now.updated_at && before?.head_message_id === now.head_message_id))
        return;
      const list = await reader.all(signal);
      if (!signal.aborted) take(now, list);
    }, true);

  watch(
    conversationId,
    (id) => {
      reader = new BranchReader(id);
      conversation.value = undefined;
      branch.value = [];
      error.value = undefined;
      void reload();
    },
    { immediate: true },
  );
  onScopeDispose(() => running.abort());
  return { conversation, branch, error, loading, reload, grow, revalidate };
}

function time({ updated_at }: Conversation): number {
  return Date.parse(updated_at ?? "") || 0;
}

export type Branch = ReturnType<typeof useBranch>;
