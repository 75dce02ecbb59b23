import { onScopeDispose, shallowRef, watch } from "vue";
import { newRequestId } from "@/api/browser";
import { ApiError } from "@/api/errors";
import { onReaderChange } from "@/api/session";
import type { Conversation, ConversationNode, Message } from "@/api/types";
import { notify } from "@/shell/notices";
import type { Environment } from "@/streams/environment";
import * as begins from "./begins";
import * as calls from "./conversationCalls";
import { onNews, tell } from "./news";
import { useBranch } from "./useBranch";
import { useLiveReply } from "./useLiveReply";
import { useReturns } from "./useReturns";
import { asked } from "./wishes";

export type { LiveReply, LiveState } from "./liveReply";

/**
 * A conversation as its reader sees it: the chosen branch, the reply that is being written, and all that can be done.
 *
 * A reply is written whether or not anybody looks: it is found again when the page is loaded in the middle of it, in
 * another tab, and after whatever time without a network. What begins or changes is told to the other tabs, and looked
 * for when the reader comes back to this one.
 *
 * `send`, `regenerate`, `edit` and `retry` resolve when the reply is known to be written, and raise ApiError where
 * nothing has begun (AbortError where it was stopped or left before); what happens later is told by `live`. The same wish
 * again is the same request until it is known to have begun. All others raise ApiError.
 *
 * A message that is not stored yet has the id "" and the status MESSAGE_STATUS_PENDING.
 *
 * @param conversationId the conversation
 */
export function useConversation(conversationId: () => string, environment?: Environment) {
  const stored = useBranch(conversationId, loaded);
  const reply = useLiveReply(conversationId, stored, environment);
  const { live, busy, messages } = reply;
  const tree = shallowRef<readonly ConversationNode[]>([]);
  let resumed = "";
  let gone = false;
  let fork_: { messageId: string; requestId: string } | undefined;

  function loaded(): void {
    const id = conversationId();
    const left = resumed === id || reply.running() ? undefined : begins.left(id);
    resumed = id;
    if (!reply.running() && begins.hasBegun(id, stored.branch.value)) begins.forget(id);
    else if (left) return resume(id, left);
    reply.follow();
  }

  /** The page was left before it was known whether this has begun: the same request tells. */
  function resume(id: string, left: begins.Begin): void {
    const { place } = asked(id, stored.branch.value, left);
    reply.hear(left, place).catch((error: unknown) => {
      refused(id, error);
      notify(error);
    });
  }

  function refused(id: string, error: unknown): void {
    if (gone || id !== conversationId()) return; // the reader has left it, and finds it as it was
    begins.refuse(id);
    // Where an answer was lost it may have begun all the same.
    if (!(error instanceof ApiError) || error.retryable) void stored.revalidate();
  }

  async function wish(what: begins.Wish): Promise<void> {
    if (busy.value) throw inTheWay();
    reply.drop();
    const id = conversationId();
    const { after, show, place } = asked(id, stored.branch.value, what);
    try {
      await reply.hear(begins.keep(id, what, after), place, show);
    } catch (error) {
      refused(id, error);
      throw error;
    }
  }

  async function retry(): Promise<void> {
    const run = reply.running();
    const messageId = live.value?.messageId ?? "";
    if (!run || live.value?.state !== "failed") return;
    const message = stored.branch.value.find(({ message_id }) => message_id === messageId);
    if (message?.status !== "MESSAGE_STATUS_FAILED") return run.start(); // it may have gone on meanwhile
    if (run.work.kind === "watch") return wish({ kind: "regenerate", messageId });
    // The request of a reply that has failed begins it anew.
    const place = { parentId: message.parent_id, replaces: messageId };
    await reply.hear(run.work, place, { until: messageId });
  }

  async function stop(): Promise<void> {
    const run = reply.running();
    if (!run || !busy.value) return;
    if (run.messageId) await calls.stopReply(conversationId(), run.messageId);
    else run.wantStop();
  }

  /** After something that has changed the branch. */
  async function changed(messageId: string): Promise<void> {
    tell({ conversation: conversationId(), kind: "changed", messageId });
    if (!busy.value) reply.drop();
    await stored.reload(true);
  }

  async function choose(messageId: string): Promise<void> {
    await calls.chooseMessage(conversationId(), messageId);
    await changed(messageId);
  }

  async function remove(messageId: string): Promise<void> {
    await calls.deleteMessage(conversationId(), messageId);
    await changed(messageId);
  }

  async function fork(messageId: string): Promise<Conversation> {
    if (fork_?.messageId !== messageId) fork_ = { messageId, requestId: newRequestId() };
    const made = await calls.forkConversation(conversationId(), messageId, fork_.requestId);
    fork_ = undefined;
    return made;
  }

  async function loadTree(): Promise<void> {
    const id = conversationId();
    const nodes = await calls.getTree(id);
    if (id === conversationId()) tree.value = nodes;
  }

  watch(conversationId, () => {
    reply.drop();
    tree.value = [];
  });
  watch(stored.branch, () => {
    // A tree that was looked at once stays right; where that fails it is loaded with the next change.
    if (tree.value.length) loadTree().catch(() => undefined);
  });
  onScopeDispose(
    onNews(({ conversation, messageId, kind }) => {
      if (conversation !== conversationId() || (kind === "begun" && messageId === live.value?.messageId)) return;
      void stored.revalidate();
    }),
  );
  useReturns(() => void stored.revalidate());
  onScopeDispose(onReaderChange(reply.drop));
  onScopeDispose(() => {
    gone = true;
    reply.drop();
  });

  return {
    conversation: stored.conversation,
    messages,
    live,
    error: stored.error,
    loading: stored.loading,
    busy,
    reload: async () => void (await stored.reload()),
    send: (content: string) => wish({ kind: "send", content }),
    regenerate: (messageId: string) => wish({ kind: "regenerate", messageId }),
    edit: (messageId: string, content: string) => wish({ kind: "edit", messageId, content }),
    stop,
    retry,
    choose,
    alternatives: (messageId: string): Promise<readonly Message[]> =>
      calls.listAlternatives(conversationId(), messageId),
    remove,
    fork,
    tree,
    loadTree,
  };
}

function inTheWay(): ApiError {
  const message = "A reply is being written; stop it first.";
  return new ApiError(409, { code: "FAILED_PRECONDITION", reason: "BUSY", message, fields: {} });
}
