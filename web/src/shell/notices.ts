// Words at the edge of the page about what has just happened.
import { shallowRef } from "vue";
import { ApiError } from "@/api/errors";

export interface Notice {
  id: number;
  /** A key of the words, or the words of the gateway. */
  text: string;
  kind: "said" | "bad";
  /** Nobody answered: said in the reader's own language. */
  unreachable?: boolean;
}

const SECONDS = 8;
let last = 0;

export const notices = shallowRef<readonly Notice[]>([]);

/** Shows words for some seconds. Bad ones stay until they are dismissed (WCAG 2.2, 2.2.1). */
export function say(text: string, kind: Notice["kind"] = "said", unreachable = false): void {
  const notice = { id: (last += 1), text, kind, unreachable };
  notices.value = [...notices.value.slice(-3), notice];
  if (kind === "said") setTimeout(() => dismiss(notice.id), SECONDS * 1000);
}

/** Shows what an error says. */
export function notify(error: unknown): void {
  if (error instanceof DOMException && error.name === "AbortError") return;
  const api = error instanceof ApiError;
  say(api ? error.message : String(error), "bad", api && error.status === 0);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}
