// What a stream needs of the browser, in one place: tests give another one.
import { renew } from "@/api/session";

/** What happens to the page: `away` and `back` are the page's leaving and its return from the browser's history. */
export type Sign = "online" | "offline" | "seen" | "away" | "back";

export interface Environment {
  fetch(path: string, init: RequestInit): Promise<Response>;
  /** Milliseconds; they may jump where the machine has slept or the clock was set. */
  now(): number;
  /** From 0 up to 1. */
  random(): number;
  /** Calls later; returns how to prevent it. */
  later(call: () => void, milliseconds: number): () => void;
  online(): boolean;
  /** Calls back on each sign; returns how to stop that. */
  listen(hear: (sign: Sign) => void): () => void;
  /** Gets a new session. Raises ApiError. */
  renew(): Promise<void>;
}

function listen(hear: (sign: Sign) => void): () => void {
  const until = new AbortController();
  const on = (target: EventTarget, name: string, call: (event: Event) => void) =>
    target.addEventListener(name, call, { signal: until.signal });
  on(window, "online", () => hear("online"));
  on(window, "offline", () => hear("offline"));
  on(window, "pagehide", () => hear("away"));
  on(window, "pageshow", (event) => {
    if ((event as PageTransitionEvent).persisted) hear("back");
  });
  on(document, "visibilitychange", () => {
    if (document.visibilityState === "visible") hear("seen");
  });
  return () => until.abort();
}

export const browser: Environment = {
  fetch: (path, init) => fetch(path, init),
  now: () => Date.now(),
  random: () => Math.random(),
  later: (call, milliseconds) => {
    const timer = setTimeout(call, milliseconds);
    return () => clearTimeout(timer);
  },
  // Where the browser says nothing, it is tried.
  online: () => navigator.onLine !== false,
  listen,
  renew,
};
