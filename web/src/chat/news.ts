// What one tab tells the others of a conversation: that something is being written, or that its branch is another.
export interface News {
  readonly conversation: string;
  readonly kind: "begun" | "changed";
  /** The reply that has begun; "" for others. */
  readonly messageId: string;
}

let channel: BroadcastChannel | undefined;

function tabs(): BroadcastChannel {
  return (channel ??= new BroadcastChannel("gaji.conversations"));
}

/** Tells the other tabs. */
export function tell(news: News): void {
  tabs().postMessage(news);
}

/** Calls back with what other tabs tell; returns how to stop that. */
export function onNews(hear: (news: News) => void): () => void {
  const until = new AbortController();
  tabs().addEventListener("message", ({ data }: MessageEvent<News>) => hear(data), { signal: until.signal });
  return () => until.abort();
}
