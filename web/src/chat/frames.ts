// Work that is worth doing once per picture, however often it is asked for.

// A page that nobody sees has no frames.
const UNSEEN = 250;

/** Calls at the next frame; returns how to prevent it. */
export function nextFrame(call: () => void): () => void {
  const done = () => {
    cancel();
    call();
  };
  const cancel = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
  const frame = requestAnimationFrame(done);
  const timer = setTimeout(done, UNSEEN);
  return cancel;
}

export interface Coalesced {
  /** At the next frame, once. */
  soon(): void;
  /** At once, and not again at the next frame. */
  now(): void;
  /** Not any more. */
  cancel(): void;
}

/** A call that is made at most once per frame. */
export function oncePerFrame(call: () => void): Coalesced {
  let cancelFrame: (() => void) | undefined;
  const cancel = () => {
    cancelFrame?.();
    cancelFrame = undefined;
  };
  return {
    soon() {
      cancelFrame ??= nextFrame(() => {
        cancelFrame = undefined;
        call();
      });
    },
    now() {
      cancel();
      call();
    },
    cancel,
  };
}
