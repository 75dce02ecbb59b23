// One reply while it is being written: from the request, or from a reply that is under way, to its end.
import { ApiError } from "@/api/errors";
import type { Citation, Failure, Progress, ReplySummary } from "@/api/types";
import { browser, type Environment } from "@/streams/environment";
import { EventStream, type StreamEvent, type StreamState } from "@/streams/eventStream";
import { ReplyText } from "@/streams/replyText";
import type { Begin } from "./begins";
import type { End } from "./branch";
import { oncePerFrame } from "./frames";
import { requestOf, type Watch } from "./requests";

export type LiveState =
  "connecting" | "preparing" | "writing" | "reconnecting" | "offline" | "complete" | "stopped" | "failed";

/** A reply as it is shown while it is written. Each is a value: what comes makes another one. */
export interface LiveReply {
  /** "" until it is known. */
  readonly messageId: string;
  readonly parentId: string;
  /** The message whose place it takes. */
  readonly replaces?: string;
  readonly text: string;
  readonly progress?: Progress;
  readonly state: LiveState;
  readonly failure?: Failure;
  readonly degraded: readonly string[];
  readonly citations: readonly Citation[];
}

export interface LiveHooks {
  /** It is another one now: at most once per frame, and at once where its state is another. */
  shown(reply: LiveReply): void;
  /** It is being written, under this id. */
  accepted(messageId: string): void;
  /** Nothing is known to have begun: ApiError, or AbortError where its reader did not want it any more. */
  refused(error: unknown): void;
  /** It has ended, and no more comes; undefined: how is for the stored message to tell. */
  over(end: End | undefined): void;
  /** It goes on after its connection was lost. */
  resumed(): void;
}

// A request of which nothing is heard goes back to its reader, who has it still; of a reply that is being written
// nothing is lost by waiting.
const PATIENCE = { first: 30, later: 600 };
const LOST: readonly StreamState[] = ["reconnecting", "offline"];

/** Hears a reply. */
export class LiveRun {
  readonly #text = new ReplyText();
  readonly #frame = oncePerFrame(() => this.#show());
  readonly #stream: EventStream;
  #messageId = "";
  #phase: LiveState = "connecting";
  #progress: Progress | undefined;
  #summary: ReplySummary | undefined;
  #failure: Failure | undefined;
  #place: Pick<LiveReply, "parentId" | "replaces">;
  #stopWanted = false;
  #lost = false;
  #over = false;

  constructor(
    readonly conversationId: string,
    readonly work: Begin | Watch,
    place: Pick<LiveReply, "parentId" | "replaces">,
    private readonly hooks: LiveHooks,
    environment: Environment = browser,
  ) {
    this.#place = place;
    if (work.kind === "watch") this.#messageId = work.messageId;
    this.#stream = new EventStream(
      {
        source: () => requestOf(conversationId, work, this.#messageId),
        hear: (event) => this.#hear(event),
        changed: (state, error) => this.#changed(state, error),
        patience: work.kind === "watch" ? { first: PATIENCE.later, later: PATIENCE.later } : PATIENCE,
      },
      environment,
    );
  }

  /** "" until it is known. */
  get messageId(): string {
    return this.#messageId;
  }

  get reply(): LiveReply {
    const lost = LOST.includes(this.#stream.state) && !this.#over;
    return {
      ...this.#place,
      messageId: this.#messageId,
      text: this.#text.text,
      state: lost ? (this.#stream.state as LiveState) : this.#phase,
      degraded: this.#summary?.degraded ?? [],
      citations: this.#summary?.citations ?? [],
      ...(this.#progress && { progress: this.#progress }),
      ...(this.#failure && { failure: this.#failure }),
    };
  }

  /** Begins, or goes on after the network was away for too long. */
  start(): void {
    this.#over = false;
    if (this.#failure) {
      this.#failure = undefined;
      this.#phase = this.#text.text ? "writing" : "connecting";
    }
    this.#stream.start();
  }

  /** Hears no more; the reply is written on. */
  close(): void {
    this.#over = true;
    this.#stream.close();
    this.#frame.cancel();
  }

  /** Stops it as soon as its message is known; a request that nobody answers is given up. */
  wantStop(): void {
    this.#stopWanted = true;
    this.#giveUp();
  }

  /** Whether it was to be stopped before its message was known. */
  get stopWanted(): boolean {
    return this.#stopWanted;
  }

  /** The message before it is known. */
  follows(parentId: string): void {
    if (parentId === this.#place.parentId) return;
    this.#place = { ...this.#place, parentId };
    this.#frame.soon();
  }

  #hear(event: StreamEvent): void {
    this.learn(messageOf(event.id));
    const rewritten = this.#text.take(event);
    const was = this.#phase;
    switch (event.name) {
      case "progress":
        this.#progress = event.data as Progress;
        if (this.#phase === "connecting") this.#phase = "preparing";
        break;
      case "token":
        this.#phase = "writing";
        break;
      case "complete":
      case "stopped": {
        const summary = (this.#summary = event.data as ReplySummary);
        this.learn(summary.message_id);
        return this.#end(event.name, { kind: event.name, summary });
      }
      case "failed": {
        const failure = event.data as Failure;
        if (!this.#messageId) return this.#refuse(new ApiError(0, { ...failure, fields: {} }));
        // Without an id it is the gateway that could not go on, and not the reply that has ended.
        return this.#fail(failure, event.id ? { kind: "failed", failure, text: this.#text.text } : undefined);
      }
    }
    // The first token is never held back.
    if (this.#phase !== was) this.#frame.now();
    else if (rewritten || event.name === "progress") this.#frame.soon();
  }

  /** Its message is this one. */
  learn(messageId: string): void {
    if (!messageId || this.#messageId === messageId) return;
    this.#messageId = messageId;
    this.hooks.accepted(messageId);
  }

  #changed(state: StreamState, error: ApiError | undefined): void {
    if (this.#over) return;
    if (state === "failed" && error) {
      if (!this.#messageId) return this.#refuse(error);
      const { code, reason, message } = error.body;
      return this.#fail({ code, reason, message, retryable: error.retryable }, undefined);
    }
    if (state === "ended") {
      // Nothing came, or nothing any more: it has ended elsewhere, or was taken away.
      this.close();
      return this.hooks.over(undefined);
    }
    if (state === "idle") return;
    if (LOST.includes(state)) {
      this.#lost = true;
      if (this.#giveUp()) return;
    } else if (state === "open" && this.#lost) {
      this.#lost = false;
      this.hooks.resumed();
    }
    this.#frame.now();
  }

  #giveUp(): boolean {
    const stopped = this.#stopWanted && !this.#messageId && LOST.includes(this.#stream.state);
    if (stopped) this.#refuse(new DOMException("stopped", "AbortError"));
    return stopped;
  }

  #end(phase: "complete" | "stopped", end: End): void {
    this.#phase = phase;
    this.#over = true;
    this.#frame.now();
    this.hooks.over(end);
  }

  /** Fails for good where the reply itself says so; else it can go on. */
  #fail(failure: Failure, end: End | undefined): void {
    this.#phase = "failed";
    this.#failure = failure;
    this.#over = true;
    this.#frame.now();
    if (end) this.hooks.over(end);
  }

  #refuse(error: unknown): void {
    this.close();
    this.hooks.refused(error);
  }

  #show(): void {
    this.hooks.shown(this.reply);
  }
}

/** The message of a cursor, `<id, 32 hexadecimal digits>.<epoch>.<sequence>`; "": it is none. */
export function messageOf(cursor: string): string {
  const parts = /^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})\.\d+\.\d+$/.exec(cursor);
  return parts ? parts.slice(1).join("-") : "";
}
