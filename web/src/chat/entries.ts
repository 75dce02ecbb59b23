// What the page of a conversation shows, one entry to a message: those that are stored, and the one being written.
import type { Citation, Failure, Message, Progress } from "@/api/types";
import type { LiveReply, LiveState } from "./useConversation";

export type EntryState = Exclude<LiveState, "complete"> | "done";

export interface Entry {
  /**
   * Its place in the conversation, from 0. Its elements belong to the place rather than to the message: so the focus
   * and what is selected in it stay when a reply that was being written is stored and when another version is chosen.
   */
  place: number;
  /** The message's id; empty while it is not known. */
  id: string;
  /** Whether the reader wrote it. */
  own: boolean;
  text: string;
  state: EntryState;
  progress: Progress | undefined;
  failure: Failure | undefined;
  degraded: readonly string[];
  citations: readonly Citation[];
  /** Its number among those in its place, from 1, and how many they are. */
  alternative: number;
  alternatives: number;
}

const STATES: Partial<Record<Message["status"], EntryState>> = {
  MESSAGE_STATUS_PENDING: "preparing",
  MESSAGE_STATUS_FAILED: "failed",
  MESSAGE_STATUS_STOPPED: "stopped",
};

/** Whether more of an entry is to come. */
export function growing(entry: Entry): boolean {
  return entry.state !== "done" && entry.state !== "failed" && entry.state !== "stopped";
}

/** The entry of a message that is stored. */
export function entryOf(message: Message, place: number): Entry {
  return {
    place,
    id: message.message_id,
    own: message.role === "MESSAGE_ROLE_READER",
    text: message.content,
    state: STATES[message.status] ?? "done",
    progress: undefined,
    failure: message.record?.failure,
    degraded: message.record?.degraded ?? [],
    citations: message.record?.citations ?? [],
    alternative: message.alternative,
    alternatives: message.alternatives,
  };
}

/** The entry of a reply that is being written, or has just been. `instead`: the one whose place it takes. */
export function entryOfLive(live: LiveReply, place: number, instead?: Entry): Entry {
  const number = (instead?.alternatives ?? 0) + 1;
  return {
    place,
    id: live.messageId,
    own: false,
    text: live.text,
    state: live.state === "complete" ? "done" : live.state,
    progress: live.progress,
    failure: live.failure,
    degraded: live.degraded,
    citations: live.citations,
    alternative: number,
    alternatives: number,
  };
}

/**
 * Those of the stored entries that stand while a reply is written: what comes after the message that it answers belongs
 * to another branch.
 */
export function before(stored: readonly Entry[], live: LiveReply): readonly Entry[] {
  const others = stored.filter((entry) => !live.messageId || entry.id !== live.messageId);
  const instead = live.replaces ? others.findIndex((entry) => entry.id === live.replaces) : -1;
  if (instead >= 0) return others.slice(0, instead);
  const parent = live.parentId ? others.findIndex((entry) => entry.id === live.parentId) : -1;
  return parent >= 0 ? others.slice(0, parent + 1) : others;
}
