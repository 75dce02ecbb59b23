import type { Citation } from "@/api/types";
import type { Entry } from "./entries";

/** What the reader does with messages. They say themselves what went wrong, except `edit`, whose form does. */
export interface Acts {
  copy(entry: Entry): void;
  regenerate(entry: Entry): void;
  /** Raises ApiError when it is refused. */
  edit(entry: Entry, content: string): Promise<void>;
  fork(entry: Entry): void;
  remove(entry: Entry): void;
  /** To the version before or after it. */
  turn(entry: Entry, step: -1 | 1): void;
  /** Once more, a reply that was given up. */
  retry(entry: Entry): void;
  open(citation: Citation): void;
}
