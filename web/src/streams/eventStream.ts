// A stream of events that survives its connections.
import { anyOf } from "@/api/browser";
import { ApiError } from "@/api/errors";
import { newTrace } from "@/api/trace";
import type { Failure } from "@/api/types";
import { connect, trouble, type Block, type Outcome, type StreamRequest } from "./connection";
import { browser, type Environment, type Sign } from "./environment";
import { Vigil, type Finding } from "./vigil";

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
  #vigil: Vigil | undefined;
  #away = false;
  #last: ApiError | undefined;
  #traced = newTrace();
  #hurry: (() => void) | undefined;
  #back: (() => void) | undefined;
  #deaf: (() => void) | undefined;

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
    this.#traced = newTrace();
    this.#deaf = this.environment.listen((sign) => this.#sign(sign));
    const { first = PATIENCE.first, later = PATIENCE.later } = this.options.patience ?? {};
    this.#vigil = new Vigil(
      this.environment,
      () => (this.#heardAny ? later : first) * 1000,
      (finding) => this.#found(finding),
    );
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
    const vigil = this.#vigil;
    if (vigil) vigil.opened = false;
    vigil?.alive();
    const outcome = await connect(
      (path, init) => {
        const headers = new Headers(init.headers);
        headers.set("traceparent", this.#traced());
        return this.environment.fetch(path, { ...init, headers });
      },
      this.options.source(this.#cursor),
      this.#cursor,
      anyOf(run, connection.signal),
      {
        opened: () => {
          if (run.aborted) return;
          if (vigil) vigil.opened = true;
          vigil?.alive();
          this.#change("open");
        },
        alive: () => vigil?.alive(),
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
    this.#vigil?.progress();
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
    if (this.environment.online() && least > (this.#vigil?.left ?? 0)) return this.#finish("failed", again.error);
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
      this.#vigil?.offline();
      if (this.#state === "reconnecting") this.#change("offline");
      return;
    }
    if (sign === "back" && this.#away) {
      this.#away = false;
      this.#vigil?.progress();
      this.#back?.();
      this.#back = undefined;
    }
    if (sign === "online") {
      if (this.#state === "offline") this.#change("reconnecting");
      // A connection through a network that is gone is as silent as one on which nothing happens.
      if (this.#vigil?.cutOff) this.#connection?.abort();
    }
    this.#hurry?.();
  }

  #found(finding: Finding): void {
    if (this.#away) return;
    if (finding === "vain") {
      this.#finish("failed", this.#last ?? trouble("NOTHING_CAME", "Nothing has come for a long time."));
      return;
    }
    this.#connection?.abort();
    if (finding === "slept") this.#hurry?.();
  }

  #finish(state: StreamState, error?: ApiError): undefined {
    const run = this.#run;
    this.#run = undefined;
    this.#deaf?.();
    this.#vigil?.end();
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
