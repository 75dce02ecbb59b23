// The chosen branch of a conversation as values: what of it is shown, and what becomes of it.
import type { Conversation, Failure, Message, ReplySummary } from "@/api/types";

/** What is shown otherwise than it is stored until that is known: the branch before a message, and what was said. */
export interface Overlay {
  /** The first message that is not shown; undefined: all are. */
  readonly until?: string;
  readonly said?: Message;
}

/** What of a branch is shown beside the reply that is live. */
export function shown(branch: readonly Message[], overlay: Overlay | undefined, liveId: string): readonly Message[] {
  const until = overlay?.until;
  const at = until === undefined ? -1 : branch.findIndex(({ message_id }) => message_id === until);
  const before = (at < 0 ? branch : branch.slice(0, at)).filter(({ message_id }) => !liveId || message_id !== liveId);
  return overlay?.said ? [...before, overlay.said] : before;
}

/** What the reader says, before it is stored. */
export function saying(conversationId: string, parentId: string, content: string): Message {
  return {
    message_id: "",
    conversation_id: conversationId,
    role: "MESSAGE_ROLE_READER",
    content,
    status: "MESSAGE_STATUS_PENDING",
    created_at: new Date().toISOString(),
    parent_id: parentId,
    alternatives: 1,
    alternative: 1,
  };
}

/** The newest reply of a branch that is being written. */
export function pendingReply(branch: readonly Message[]): Message | undefined {
  return branch.findLast(
    ({ role, status }) => role === "MESSAGE_ROLE_CHARACTER" && status === "MESSAGE_STATUS_PENDING",
  );
}

/** Whether a conversation waits for an opening of which it has no message yet. */
export function awaitsOpening(conversation: Conversation | undefined, branch: readonly Message[]): boolean {
  return conversation?.status === "CONVERSATION_STATUS_PENDING" && branch.length === 0;
}

export type End =
  | { readonly kind: "complete" | "stopped"; readonly summary: ReplySummary }
  | { readonly kind: "failed"; readonly failure: Failure; readonly text: string };

/** A message as it is stored when its reply has ended so. */
export function ended(message: Message, end: End): Message {
  if (end.kind === "failed") {
    return {
      ...message,
      status: "MESSAGE_STATUS_FAILED",
      content: end.text,
      record: { ...NOTHING, failure: end.failure },
    };
  }
  const { content, usage, provider, model, passage_ids, degraded, citations } = end.summary;
  return {
    ...message,
    status: end.kind === "complete" ? "MESSAGE_STATUS_COMPLETE" : "MESSAGE_STATUS_STOPPED",
    content,
    record: { ...NOTHING, ...usage, provider, model, passage_ids, degraded, citations },
  };
}

const NOTHING = {
  provider: "",
  model: "",
  prompt_tokens: 0,
  completion_tokens: 0,
  first_token_ms: 0,
  total_ms: 0,
  passage_ids: [],
  last_sequence: "0",
  degraded: [],
  citations: [],
} satisfies Message["record"];

/** A list as it is now, with those messages of before that are still the same: what shows them is left alone. */
export function merged(before: readonly Message[], now: readonly Message[]): readonly Message[] {
  const known = new Map(before.map((message) => [message.message_id, message]));
  const list = now.map((message) => {
    const same = known.get(message.message_id);
    return same && JSON.stringify(same) === JSON.stringify(message) ? same : message;
  });
  return list.length === before.length && list.every((message, at) => message === before[at]) ? before : list;
}

/** A list with another message in the place of one. */
export function replaced(branch: readonly Message[], message: Message): readonly Message[] {
  return branch.map((one) => (one.message_id === message.message_id ? message : one));
}
