// A stream of events that survives its connections.
import { ApiError } from "@/api/errors";
import type { Failure } from "@/api/types";
import { connect, trouble, type Block, type Outcome, type StreamRequest } from "./connection";
import { browser, type Environment, type Sign } from "./environment";

export type { StreamRequest } from "./connection";

export type StreamState = "idle" | "connecting" | "open" | "reconnecting" | "offline" | "ended" | "failed";

export interface StreamEvent extends Block {
  /** The number of the connection that brought it, from 1. */
  readonly connection: number;
}

/** The request of a connection that goes on behind a cursor; "": from the start. */
export type StreamSource = (cursor: string) => StreamRequest;

export interface StreamOptions {
  readonly source: StreamSource;
  readonly hear: (event: StreamEvent) => void;
  readonly changed?: (state: StreamState, error?: ApiError) => void;
  /** Names of the events behind which nothing comes. */
  readonly ends?: readonly string[];
  /** For how many seconds it is tried, while there is a network, before the first event and without another one. */
  readonly patience?: { readonly first?: number; readonly later?: number };
}

export const ENDS: readonly string[] = ["complete", "failed", "stopped"];

const SHORTEST = 250;
const LONGEST = 8_000;
const LOOK = 5_000;
const ANSWER = 15_000;
// The gateway says something every 15 s, if only a comment.
const SILENCE = 40_000;
// Timers of a page that nobody sees may come a minute late, of a machine that sleeps much later.
const SLEPT = 120_000;
const PATIENCE = { first: 600, later: 600 };

/**
 * Hears a stream of events to its end, over as many connections as it takes.
 *
 * Each event is heard once and in order: a connection goes on behind the id of the last event that was heard, and of
 * an event that was cut nothing is heard. Events without an id that stand behind the last one with an id may come
 * again, in another way; `StreamEvent.connection` tells the connections apart.
 *
 * States: `connecting` (the first time), `open`, `reconnecting`, `offline` (the same, and the browser has no network),
 * `ended` (nothing more comes), `failed` (for `error`; `retry` goes on behind the last event), `idle` (not begun, or
 * closed). Between connections it waits by full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/),
 * up to 0.25 s at first and 8 s at last, or for as long as the server says.
 */
export class EventStream {
  #state: StreamState = "idle";
  #cursor: string;
  #connections = 0;
  #failures = 0;
  #renewed = false;
  #heardAny = false;
  #run: AbortController | undefined;
  #connection: AbortController | undefined;
  #opened = false;
  #away = false;
  #aliveAt = 0;
  #progressAt = 0;
  #lookedAt = 0;
  #last: ApiError | undefined;
  #hurry: (() => void) | undefined;
  #back: (() => void) | undefined;
  #cleanups: (() => void)[] = [];

  constructor(
    readonly options: StreamOptions,
    readonly environment: Environment = browser,
    cursor = "",
  ) {
    this.#cursor = cursor;
  }

  get state(): StreamState {
    return this.#state;
  }

  /** The id of the last event with one. */
  get cursor(): string {
    return this.#cursor;
  }

  /** Begins, or goes on behind the last event; while it waits for the next connection: at once. */
  start(): void {
    if (this.#run) {
      this.#hurry?.();
      return;
    }
    const run = (this.#run = new AbortController());
    this.#failures = 0;
    this.#renewed = this.#away = false;
    this.#last = undefined;
    this.#progressAt = this.#lookedAt = this.environment.now();
    this.#cleanups = [this.environment.listen((sign) => this.#sign(sign)), this.#looking()];
    this.#change(this.#connections ? "reconnecting" : "connecting");
    void this.#hearAll(run.signal);
  }

  /** Ends it here; nothing is heard any more. */
  close(): void {
    if (this.#run) this.#finish("idle");
  }

  async #hearAll(run: AbortSignal): Promise<void> {
    try {
      while (!run.aborted) {
        await this.#return();
        if (run.aborted) return;
        const outcome = await this.#connect(run);
        if (run.aborted) return;
        const pause = await this.#judge(outcome, run);
        if (run.aborted || pause === undefined) return;
        await pause();
      }
    } catch (error) {
      // Whoever hears has failed: to go on would hide it.
      if (!run.aborted) this.#finish("failed", trouble("CLIENT_ERROR", String(error)));
      throw error;
    }
  }

  async #connect(run: AbortSignal): Promise<Outcome> {
    const connection = (this.#connection = new AbortController());
    const number = (this.#connections += 1);
    this.#opened = false;
    this.#aliveAt = this.environment.now();
    const outcome = await connect(
      (path, init) => this.environment.fetch(path, init),
      this.options.source(this.#cursor),
      this.#cursor,
      AbortSignal.any([run, connection.signal]),
      {
        opened: () => {
          if (run.aborted) return;
          this.#opened = true;
          this.#alive();
          this.#change("open");
        },
        alive: () => this.#alive(),
        event: (block) => (run.aborted ? { kind: "ended" } : this.#take(block, number)),
      },
    );
    if (this.#connection === connection) this.#connection = undefined;
    return outcome;
  }

  #take(block: Block, connection: number): Outcome | undefined {
    const ends = (this.options.ends ?? ENDS).includes(block.name);
    if (block.name === "failed" && ends && !block.id) {
      // The gateway's word: its call was cut, by a deadline or a restart. The stream itself may go on.
      const failure = block.data as Failure;
      const error = new ApiError(503, { ...failure, fields: {} });
      if (failure.code === "UNAUTHENTICATED" && !this.#renewed) return { kind: "renew", error };
      if (failure.retryable) return { kind: "again", error };
    }
    this.#failures = 0;
    this.#renewed = false;
    this.#heardAny = true;
    this.#progressAt = this.environment.now();
    if (block.id) this.#cursor = block.id;
    this.options.hear({ ...block, connection });
    return ends ? { kind: "ended" } : undefined;
  }

  /** What comes next: how to wait, or undefined when it is over. */
  async #judge(outcome: Outcome, run: AbortSignal): Promise<(() => Promise<void>) | undefined> {
    if (outcome.kind === "ended") return this.#finish("ended");
    if (outcome.kind === "failed") return this.#finish("failed", outcome.error);
    let again = outcome.kind === "again" ? outcome : undefined;
    if (!again) {
      if (this.#renewed) return this.#finish("failed", outcome.error);
      this.#renewed = true;
      try {
        await this.environment.renew();
        return () => Promise.resolve();
      } catch (error) {
        if (run.aborted) return undefined;
        const failure = error instanceof ApiError ? error : ApiError.unreachable(error);
        if (!failure.retryable) return this.#finish("failed", failure);
        this.#renewed = false;
        again = { kind: "again", error: failure };
      }
    }
    this.#last = again.error;
    const least = (again.atLeast ?? 0) * (1 + this.environment.random() / 4);
    if (this.environment.online() && least > this.#patienceLeft()) return this.#finish("failed", again.error);
    const jitter = this.environment.random() * Math.min(LONGEST, SHORTEST * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    this.#change(this.environment.online() ? "reconnecting" : "offline");
    if (this.#away) return () => Promise.resolve();
    return () => this.#wait(again.pause ?? Math.max(jitter, least), again.pause === undefined && !again.atLeast, run);
  }

  /** Waits; `hasty`: news of the network ends it. */
  #wait(milliseconds: number, hasty: boolean, run: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        run.removeEventListener("abort", done);
        this.#hurry = undefined;
        resolve();
      };
      const cancel = this.environment.later(done, milliseconds);
      run.addEventListener("abort", done);
      if (hasty) this.#hurry = done;
    });
  }

  /** Until the page is back from the browser's history. */
  async #return(): Promise<void> {
    if (this.#away) await new Promise<void>((resolve) => (this.#back = resolve));
  }

  #sign(sign: Sign): void {
    if (sign === "away") {
      // A page with an open connection would not be kept, and one that is kept hears nothing.
      this.#away = true;
      this.#connection?.abort();
      this.#hurry?.();
      return;
    }
    if (sign === "offline") {
      if (this.#state === "reconnecting") this.#change("offline");
      return;
    }
    if (sign === "back" && this.#away) {
      this.#away = false;
      this.#progressAt = this.#lookedAt = this.environment.now();
      this.#back?.();
      this.#back = undefined;
    }
    if (sign === "online" && this.#state === "offline") this.#change("reconnecting");
    this.#hurry?.();
  }

  #alive(): void {
    this.#aliveAt = this.environment.now();
  }

  #patienceLeft(): number {
    const { first = PATIENCE.first, later = PATIENCE.later } = this.options.patience ?? {};
    return (this.#heardAny ? later : first) * 1000 - (this.environment.now() - this.#progressAt);
  }

  /** Looks after it all the time; returns how to stop that. */
  #looking(): () => void {
    const look = () => {
      cancel = this.environment.later(look, LOOK);
      this.#look();
    };
    let cancel = this.environment.later(look, LOOK);
    return () => cancel();
  }

  #look(): void {
    const now = this.environment.now();
    const slept = now - this.#lookedAt > SLEPT || now < this.#lookedAt;
    this.#lookedAt = now;
    if (this.#away) return;
    if (slept || !this.environment.online()) this.#progressAt = now;
    if (slept) {
      this.#connection?.abort();
      this.#hurry?.();
    } else if (this.#patienceLeft() < 0) {
      this.#finish("failed", this.#last ?? trouble("NOTHING_CAME", "Nothing has come for a long time."));
    } else if (this.#connection && now - this.#aliveAt > (this.#opened ? SILENCE : ANSWER)) {
      this.#connection.abort();
    }
  }

  #finish(state: StreamState, error?: ApiError): undefined {
    const run = this.#run;
    this.#run = undefined;
    for (const cleanup of this.#cleanups.splice(0)) cleanup();
    run?.abort();
    this.#back?.();
    this.#back = undefined;
    this.#change(state, error);
  }

  #change(state: StreamState, error?: ApiError): void {
    if (state === this.#state) return;
    this.#state = state;
    this.options.changed?.(state, error);
  }
}
