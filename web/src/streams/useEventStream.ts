import { onScopeDispose, ref, shallowRef, type Ref, type ShallowRef } from "vue";
import type { ApiError } from "@/api/errors";
import { onReaderChange } from "@/api/session";
import { EventStream, type StreamEvent, type StreamOptions, type StreamSource, type StreamState } from "./eventStream";
import { browser, type Environment } from "./environment";

export type { StreamEvent, StreamRequest, StreamSource, StreamState } from "./eventStream";

export interface HeardStream {
  /** See `EventStream`. */
  state: Readonly<Ref<StreamState>>;
  /** Why it is `failed`. */
  error: Readonly<ShallowRef<ApiError | undefined>>;
  /** Hears a stream, and no longer the one before: the path of a GET, or what is asked for behind a cursor. */
  open(source: string | StreamSource, cursor?: string): void;
  /** Hears nothing any more. */
  close(): void;
  /** After `failed`: goes on behind the last event. While it waits for a connection: tries at once. */
  retry(): void;
}

/**
 * A stream of server-sent events that survives its connections, for as long as the component lives and the reader is
 * the same one.
 *
 * ```ts
 * const { state, error, open, retry } = useEventStream(({ name, data }) => {
 *   if (name === "progress") progress.value = data as Progress;
 * });
 * open(`/api/novels/${novelId}/ingestion-stream`);
 * ```
 *
 * @param hear gets each event once and in order; after `complete`, `failed` or `stopped` (or `options.ends`) none comes
 * @param options see `StreamOptions`
 */
export function useEventStream(
  hear: (event: StreamEvent) => void,
  options: Pick<StreamOptions, "ends" | "patience"> = {},
  environment: Environment = browser,
): HeardStream {
  const state = ref<StreamState>("idle");
  const error = shallowRef<ApiError>();
  let stream: EventStream | undefined;

  function close(): void {
    stream?.close();
    stream = undefined;
    state.value = "idle";
  }

  function open(source: string | StreamSource, cursor = ""): void {
    close();
    error.value = undefined;
    stream = new EventStream(
      {
        ...options,
        source: typeof source === "string" ? () => ({ path: source }) : source,
        hear,
        changed(now, failure) {
          state.value = now;
          error.value = failure;
        },
      },
      environment,
      cursor,
    );
    stream.start();
  }

  onScopeDispose(close);
  // What another reader was shown goes on without him.
  onScopeDispose(onReaderChange(close));
  return { state, error, open, close, retry: () => stream?.start() };
}
