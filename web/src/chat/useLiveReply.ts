import { computed, shallowRef } from "vue";
import { ApiError } from "@/api/errors";
import type { Environment } from "@/streams/environment";
import * as begins from "./begins";
import { awaitsOpening, ended, pendingReply, replaced, shown, type End, type Overlay } from "./branch";
import { stopReply } from "./conversationCalls";
import { nextFrame } from "./frames";
import { LiveRun, type LiveReply } from "./liveReply";
import { tell } from "./news";
import type { Watch } from "./requests";
import type { Branch } from "./useBranch";
import type { Place } from "./wishes";
import { leftOff } from "./writing";

const OVER: readonly LiveReply["state"][] = ["complete", "stopped", "failed"];

/**
 * The reply of a conversation that is being written: one that was asked for here, or that was found under way.
 *
 * @param conversationId the conversation
 * @param stored its branch; `follow` is to be called after each loading
 */
export function useLiveReply(conversationId: () => string, stored: Branch, environment?: Environment) {
  const live = shallowRef<LiveReply>();
  const overlay = shallowRef<Overlay>();
  const busy = computed(() => !!live.value && !OVER.includes(live.value.state));
  /** The chosen branch without the reply that is live. */
  const messages = computed(() => shown(stored.branch.value, overlay.value, live.value?.messageId ?? ""));
  let run: LiveRun | undefined;
  let last: { messageId: string; end: End } | undefined;
  let abandon: (() => void) | undefined;

  /** Shows what is stored alone. */
  function drop(): void {
    abandon?.();
    run?.close();
    run = abandon = undefined;
    live.value = undefined;
    overlay.value = undefined;
  }

  /** Hears a reply; resolves when it is known to be written. Raises ApiError, or AbortError: nothing has begun. */
  function hear(work: begins.Begin | Watch, place: Place, show?: Overlay): Promise<void> {
    drop();
    last = undefined;
    overlay.value = show;
    const id = conversationId();
    return new Promise((resolve, reject) => {
      abandon = () => reject(new DOMException("left", "AbortError"));
      const mine: LiveRun = new LiveRun(
        id,
        work,
        place,
        {
          shown: (reply) => (live.value = reply),
          accepted(messageId) {
            resolve();
            if (work.kind !== "watch") {
              begins.forget(id);
              tell({ conversation: id, kind: "begun", messageId });
            }
            // What was asked of it meanwhile; it can be asked again.
            if (mine.stopWanted) stopReply(id, messageId).catch(() => undefined);
            void stored.grow();
          },
          refused(error) {
            reject(error as Error);
            if (run === mine) drop();
          },
          over: (end) => void over(mine, end),
          resumed: () => void stored.revalidate(),
        },
        environment,
      );
      run = mine;
      mine.start();
    });
  }

  async function over(mine: LiveRun, end: End | undefined): Promise<void> {
    const { messageId } = mine;
    if (end) last = { messageId, end };
    if (!end || !settle()) await stored.reload(true);
    if (end?.kind === "failed") return;
    // Whoever reads it aloud hears of its end before it becomes one message among others.
    await new Promise<void>((resolve) => nextFrame(() => nextFrame(resolve)));
    if (run !== mine) return;
    if (!end) drop();
    else follow();
  }

  /** Writes into the branch how the last reply has ended, where it does not stand there yet; whether it stands there. */
  function settle(): boolean {
    const message = stored.branch.value.find(({ message_id }) => message_id === last?.messageId);
    if (!message || !last) return false;
    if (message.status === "MESSAGE_STATUS_PENDING") {
      stored.branch.value = replaced(stored.branch.value, ended(message, last.end));
    }
    return true;
  }

  /** Watches what is being written on the branch, and no longer what has become a message or is gone. */
  function follow(): void {
    settle();
    const pending = pendingReply(stored.branch.value);
    if (run && !run.messageId && busy.value) {
      // Its request is on the way; or its answer is, and here it stands already.
      if (pending && begins.hasBegun(conversationId(), stored.branch.value)) run.learn(pending.message_id);
      return;
    }
    if (run) {
      const message = stored.branch.value.find(({ message_id }) => message_id === run?.messageId);
      if (message && (!pending || pending === message)) {
        overlay.value = undefined;
        run.follows(message.parent_id);
        if (busy.value) return;
        // It was given up here, and there it goes on.
        if (message === pending) return run.start();
        if (message.status === "MESSAGE_STATUS_FAILED") return;
      }
      // It has ended, and where it stands could not be loaded: what was heard is shown still.
      if (!message && !busy.value && last?.messageId === run.messageId) return;
      drop();
    }
    if (pending) watch(pending.message_id, pending.parent_id);
    else if (awaitsOpening(stored.conversation.value, stored.branch.value)) watch("", "");
  }

  function watch(messageId: string, parentId: string): void {
    hear({ kind: "watch", messageId }, { parentId }).catch((error: unknown) => {
      if (leftOff(error)) return; // it is a message now, or another is watched
      // An opening that is not there is none.
      if (!(error instanceof ApiError && error.status === 404)) stored.error.value = error;
    });
  }

  return { live, busy, messages, hear, follow, drop, running: () => run };
}
