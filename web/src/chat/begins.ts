// What a reader has asked to be written, until it is known to have begun. It is kept for the time of the tab, so that
// the same request is made again, and not another one, when an answer is lost or the page is loaded anew.
import { newRequestId } from "@/api/browser";
import { onReaderChange } from "@/api/session";
import type { Message } from "@/api/types";

/** What is to be written: an answer, another answer, an answer to other words. */
export type Wish =
  | { readonly kind: "send"; readonly content: string }
  | { readonly kind: "regenerate"; readonly messageId: string }
  | { readonly kind: "edit"; readonly messageId: string; readonly content: string };

/** A wish with what makes its requests one. */
export type Begin = Wish & { readonly requestId: string };

interface Kept {
  readonly begin: Begin;
  /** The message behind which it goes on; "": none. */
  readonly after: string;
  /** It has ended in an error that was shown: only the reader asks again. */
  readonly refused: boolean;
  readonly at: number;
}

const PREFIX = "gaji.begin.";
const HOUR = 3_600_000;

/** Keeps a wish as a request: the one that is kept of the conversation, where it is the same wish in the same place. */
export function keep(conversationId: string, wish: Wish, after: string): Begin {
  const kept = read(conversationId);
  const begin = kept?.after === after && same(kept.begin, wish) ? kept.begin : { ...wish, requestId: newRequestId() };
  write(conversationId, { begin, after, refused: false, at: Date.now() });
  return begin;
}

/** The request that the page was left in, if any. */
export function left(conversationId: string): Begin | undefined {
  const kept = read(conversationId);
  return kept && !kept.refused ? kept.begin : undefined;
}

/** Whether a branch shows that what is kept has begun, though nobody has heard of it. */
export function hasBegun(conversationId: string, branch: readonly Message[]): boolean {
  const kept = read(conversationId);
  if (!kept) return false;
  const { begin, after } = kept;
  const at = branch.findIndex(({ message_id }) => message_id === after);
  const next = after && at < 0 ? undefined : branch[at + 1];
  if (!next || ("messageId" in begin && begin.messageId === next.message_id)) return false;
  if (begin.kind === "regenerate") return next.role === "MESSAGE_ROLE_CHARACTER";
  return next.role === "MESSAGE_ROLE_READER" && next.content === begin.content;
}

/** It was refused: kept, in case the reader asks for the same again. */
export function refuse(conversationId: string): void {
  const kept = read(conversationId);
  if (kept) write(conversationId, { ...kept, refused: true });
}

/** It has begun, or can't any more. */
export function forget(conversationId: string): void {
  attempt(() => sessionStorage.removeItem(PREFIX + conversationId));
}

function same(one: Wish, other: Wish): boolean {
  const parts = (wish: Wish) => [wish.kind, "messageId" in wish && wish.messageId, "content" in wish && wish.content];
  return JSON.stringify(parts(one)) === JSON.stringify(parts(other));
}

function read(conversationId: string): Kept | undefined {
  return attempt(() => {
    const kept = JSON.parse(sessionStorage.getItem(PREFIX + conversationId) ?? "null") as Kept | null;
    return kept && Date.now() - kept.at < HOUR ? kept : undefined;
  });
}

function write(conversationId: string, kept: Kept): void {
  attempt(() => sessionStorage.setItem(PREFIX + conversationId, JSON.stringify(kept)));
}

/** A browser may keep nothing, or no more: then a lost answer costs the reader a second message at worst. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

// Words of one reader are nothing for the next.
onReaderChange(() => {
  attempt(() => {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith(PREFIX)) sessionStorage.removeItem(key);
  });
});
