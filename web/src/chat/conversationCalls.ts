// The calls that a conversation is shown and changed by. All raise ApiError.
import { answer, api } from "@/api/client";
import type { Conversation, ConversationNode, Message } from "@/api/types";

const PAGE = 100;
const MOST_PAGES = 100;

/** One conversation. */
export function getConversation(conversationId: string, signal: AbortSignal): Promise<Conversation> {
  const path = { conversation_id: conversationId };
  return answer(api.GET("/api/conversations/{conversation_id}", { params: { path }, signal }));
}

/** Reads the chosen branch of a conversation, and what was added to it. */
export class BranchReader {
  // What stands before the last page, and where that begins.
  #before: readonly Message[] = [];
  #token = "";

  constructor(private readonly conversationId: string) {}

  /** All of it, oldest first; of a branch of more than 10,000 messages the first ones. */
  all(signal: AbortSignal): Promise<readonly Message[]> {
    return this.#from([], "", signal);
  }

  /** The same, where the branch may have grown: reads the last page alone if that goes on with what is known. */
  async grown(signal: AbortSignal): Promise<readonly Message[]> {
    const before = this.#before;
    const last = before.at(-1);
    if (!last) return this.all(signal);
    const messages = await this.#from(before, this.#token, signal);
    return messages[before.length]?.parent_id === last.message_id ? messages : this.all(signal);
  }

  async #from(before: readonly Message[], token: string, signal: AbortSignal): Promise<readonly Message[]> {
    for (let pages = 0; ; pages += 1) {
      const query = token ? { page_size: PAGE, page_token: token } : { page_size: PAGE };
      const path = { conversation_id: this.conversationId };
      const page = await answer(
        api.GET("/api/conversations/{conversation_id}/messages", { params: { path, query }, signal }),
      );
      this.#before = before;
      this.#token = token;
      before = [...before, ...page.messages];
      token = page.next_page_token;
      if (!token || pages + 1 >= MOST_PAGES) return before;
    }
  }
}

/** A message and those in its place on other branches, oldest first. */
export async function listAlternatives(conversationId: string, messageId: string): Promise<readonly Message[]> {
  const call = api.GET(
    "/api/conversations/{conversation_id}/messages/{message_id}/alternatives",
    at(conversationId, messageId),
  );
  return (await answer(call)).messages;
}

/** Makes a branch with a message the chosen one. */
export function chooseMessage(conversationId: string, messageId: string): Promise<Conversation> {
  const { params } = at(conversationId, messageId);
  return answer(api.POST("/api/conversations/{conversation_id}/messages/{message_id}:choose", { params, body: {} }));
}

/** Deletes a message with all that follows it. */
export async function deleteMessage(conversationId: string, messageId: string): Promise<void> {
  await answer(api.DELETE("/api/conversations/{conversation_id}/messages/{message_id}", at(conversationId, messageId)));
}

/** Begins another conversation with copies of a message and of all before it. */
export function forkConversation(conversationId: string, messageId: string, requestId: string): Promise<Conversation> {
  const { params } = at(conversationId, messageId);
  const body = { request_id: requestId };
  return answer(api.POST("/api/conversations/{conversation_id}/messages/{message_id}:fork", { params, body }));
}

/** Stops a reply for all who watch it; the stream tells of it. */
export async function stopReply(conversationId: string, messageId: string): Promise<void> {
  const { params } = at(conversationId, messageId);
  await answer(api.POST("/api/conversations/{conversation_id}/messages/{message_id}:stop", { params, body: {} }));
}

/** All messages of all branches, oldest first. */
export async function getTree(conversationId: string): Promise<readonly ConversationNode[]> {
  const path = { conversation_id: conversationId };
  return (await answer(api.GET("/api/conversations/{conversation_id}/tree", { params: { path } }))).nodes;
}

function at(conversationId: string, messageId: string) {
  return { params: { path: { conversation_id: conversationId, message_id: messageId } } };
}
