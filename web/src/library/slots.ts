/**
 * Places for streams that stay open. A browser has six connections to one HTTP/1.1 host, for all of its tabs: whoever
 * watches ten ingestions at once would wait for everything else.
 */
export function createSlots(count: number) {
  const waiting: (() => void)[] = [];
  let free = count;

  function release(): void {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  }

  /** Waits for a place. Returns how to leave it, or to stop waiting; calls `enter` when there is one. */
  function take(enter: () => void): () => void {
    let held = false;
    let left = false;
    const go = () => {
      held = true;
      enter();
    };
    if (free > 0) {
      free -= 1;
      go();
    } else waiting.push(go);
    return () => {
      if (left) return;
      left = true;
      if (held) release();
      else waiting.splice(waiting.indexOf(go), 1);
    };
  }

  return { take };
}

/** Those of ingestions, in this tab. */
export const ingestionSlots = createSlots(2);
