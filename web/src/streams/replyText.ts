// The text of a reply, from the events of its stream.
import type { StreamEvent } from "./eventStream";

/** The first Unicode code points of a text. */
export function head(text: string, points: number): string {
  if (points >= text.length) return text; // there are never more code points than code units
  let at = 0;
  for (let left = points; left > 0 && at < text.length; left -= 1) at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  return text.slice(0, at);
}

/**
 * The text so far. Over whatever connections its events came, it ends as the text that is stored:
 *
 * - `token` appends, `seam` keeps so many code points of what there is, `complete` and `stopped` tell the whole;
 * - `gap` says that events are no longer kept; the seam behind it voids what they made;
 * - what came without an id behind the last event with one comes again after a cut, perhaps in another way: it is
 *   dropped when the next connection brings its first event.
 *
 * Appending is cheap: engines keep such strings as ropes, and flatten them where they are read.
 */
export class ReplyText {
  #text = "";
  #marked = "";
  #connection = 0;

  get text(): string {
    return this.#text;
  }

  /** Takes in an event; whether the text is another now. */
  take(event: StreamEvent): boolean {
    const before = this.#text;
    if (event.connection !== this.#connection) {
      this.#connection = event.connection;
      this.#text = this.#marked;
    }
    if (event.name === "token") this.#text += (event.data as { content: string }).content;
    else if (event.name === "seam") this.#text = head(this.#text, (event.data as { keep: number }).keep);
    else if (event.name === "complete" || event.name === "stopped")
      this.#text = (event.data as { content: string }).content;
    if (event.id) this.#marked = this.#text;
    return this.#text !== before;
  }
}
