// What is shown of a wish until it is known to have begun.
import type { Message } from "@/api/types";
import type { Wish } from "./begins";
import { saying, type Overlay } from "./branch";
import type { LiveReply } from "./liveReply";

export type Place = Pick<LiveReply, "parentId" | "replaces">;

export interface Asked {
  /** The message behind which it goes on; "": none. */
  readonly after: string;
  /** How the branch looks with it. */
  readonly show: Overlay;
  /** Where the reply stands, as far as that is known. */
  readonly place: Place;
}

/** How a branch looks with a wish fulfilled. */
export function asked(conversationId: string, branch: readonly Message[], wish: Wish): Asked {
  if (wish.kind === "send") {
    const after = branch.at(-1)?.message_id ?? "";
    return { after, show: { said: saying(conversationId, after, wish.content) }, place: { parentId: "" } };
  }
  const until = wish.messageId;
  const after = branch.find(({ message_id }) => message_id === until)?.parent_id ?? "";
  return wish.kind === "edit"
    ? { after, show: { until, said: saying(conversationId, after, wish.content) }, place: { parentId: "" } }
    : { after, show: { until }, place: { parentId: after, replaces: until } };
}
