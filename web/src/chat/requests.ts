import type { StreamRequest } from "@/streams/eventStream";
import type { Begin } from "./begins";

/** A reply that is under way; "" as its message: the conversation's opening. */
export interface Watch {
  readonly kind: "watch";
  readonly messageId: string;
}

/** What is asked for to hear a reply: what begins it, until its message is known; then its events. */
export function requestOf(conversationId: string, work: Begin | Watch, messageId: string): StreamRequest {
  const conversation = `/api/conversations/${conversationId}`;
  if (messageId) return { path: `${conversation}/messages/${messageId}/events` };
  switch (work.kind) {
    case "watch":
      return { path: `${conversation}/events` };
    case "send":
      return { path: `${conversation}/messages-stream`, body: said(work) };
    case "edit":
      return { path: `${conversation}/messages/${work.messageId}:edit`, body: said(work) };
    case "regenerate":
      return { path: `${conversation}/messages/${work.messageId}:regenerate`, body: { request_id: work.requestId } };
  }
}

function said({ content, requestId }: { readonly content: string; readonly requestId: string }) {
  return { content, request_id: requestId };
}
