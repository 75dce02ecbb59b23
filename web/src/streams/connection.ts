// One connection of a stream: server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) over
// fetch, from the request to however it ends.
import { createParser } from "eventsource-parser";
import { ApiError } from "@/api/errors";

export interface StreamRequest {
  readonly path: string;
  /** Sent as JSON by POST; without it the request is a GET. */
  readonly body?: object;
}

/** An event as it came. */
export interface Block {
  readonly name: string;
  /** What its JSON holds. */
  readonly data: unknown;
  /** Where a later connection goes on behind it; "": nobody can. */
  readonly id: string;
}

/** How a connection has ended, and with it perhaps the stream. */
export type Outcome =
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly error: ApiError }
  /** The session has expired. */
  | { readonly kind: "renew"; readonly error: ApiError }
  /** Another connection may go on: after `pause` where the server has said so, after `atLeast` where it is busy. */
  | { readonly kind: "again"; readonly error: ApiError; readonly pause?: number; readonly atLeast?: number };

export interface Hearer {
  /** The server has taken the request. */
  opened(): void;
  /** Something has come, if only a comment. */
  alive(): void;
  /** An event has come; an outcome ends the connection. */
  event(block: Block): Outcome | undefined;
}

const MOST_CHARACTERS = 4 * 1024 * 1024;
const AGAIN = new Set([408, 425, 429, 500, 502, 503, 504]);

/** An error of this side's making. */
export function trouble(reason: string, message: string): ApiError {
  return new ApiError(0, { code: "UNAVAILABLE", reason, message, fields: {} });
}

/**
 * Sends a request and hears events until the connection ends. Never raises for what the network or the server does.
 *
 * @param cursor goes along as Last-Event-ID where it is not empty
 * @param signal ends the connection; the outcome is "again" then
 */
export async function connect(
  fetcher: (path: string, init: RequestInit) => Promise<Response>,
  request: StreamRequest,
  cursor: string,
  signal: AbortSignal,
  hearer: Hearer,
): Promise<Outcome> {
  let response: Response;
  try {
    response = await fetcher(request.path, init(request, cursor, signal));
    if (!response.ok) return refused(await ApiError.of(response));
  } catch (error) {
    return { kind: "again", error: ApiError.unreachable(error) };
  }
  if (response.status === 204) return { kind: "ended" };
  if (!response.body || !response.headers.get("content-type")?.startsWith("text/event-stream")) {
    void response.body?.cancel().catch(() => undefined);
    // A network that first wants its own page to be seen answers with that.
    return { kind: "again", error: trouble("NOT_A_STREAM", "What answered is not Gaji; look at your network.") };
  }
  hearer.opened();
  return read(response.body.getReader(), hearer);
}

function init(request: StreamRequest, cursor: string, signal: AbortSignal): RequestInit {
  const headers: Record<string, string> = { accept: "text/event-stream" };
  if (cursor) headers["last-event-id"] = cursor;
  if (!request.body) return { headers, signal, cache: "no-store" };
  headers["content-type"] = "application/json";
  return { method: "POST", body: JSON.stringify(request.body), headers, signal, cache: "no-store" };
}

function refused(error: ApiError): Outcome {
  if (error.status === 401) return { kind: "renew", error };
  if (!AGAIN.has(error.status)) return { kind: "failed", error };
  const seconds = error.retryAfter;
  return seconds === undefined ? { kind: "again", error } : { kind: "again", error, atLeast: seconds * 1000 };
}

async function read(reader: ReadableStreamDefaultReader<Uint8Array>, hearer: Hearer): Promise<Outcome> {
  let outcome: Outcome | undefined;
  let unfinished = 0;
  let retries = 0;
  let pause: number | undefined;
  const parser = createParser({
    onEvent({ event = "message", data, id = "" }) {
      unfinished = 0;
      // Several may come in one piece: nothing is heard behind the one that ends it.
      outcome ??= parsed(event, data, id, hearer);
    },
    onComment: () => (unfinished = 0),
    onRetry(milliseconds) {
      // A stream begins with what a browser's EventSource is to wait. A second one comes from a gateway that stops and
      // hands its streams over, each after a time of its own.
      retries += 1;
      if (retries > 1) pause = milliseconds;
    },
  });
  const decoder = new TextDecoder();
  try {
    for (;;) {
      let piece: ReadableStreamReadResult<Uint8Array>;
      try {
        piece = await reader.read();
      } catch (error) {
        return { kind: "again", error: ApiError.unreachable(error) };
      }
      if (piece.done) {
        const error = trouble("CUT", "The connection ended before the stream did.");
        return pause === undefined ? { kind: "again", error } : { kind: "again", error, pause };
      }
      hearer.alive();
      const text = decoder.decode(piece.value, { stream: true });
      unfinished += text.length;
      parser.feed(text);
      if (outcome) return outcome;
      if (unfinished > MOST_CHARACTERS) return broken("EVENT_TOO_LARGE", "An event of the stream is too large.");
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

function parsed(name: string, text: string, id: string, hearer: Hearer): Outcome | undefined {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    return broken("BAD_EVENT", `The event ${name} holds no JSON.`);
  }
  return hearer.event({ name, data, id });
}

function broken(reason: string, message: string): Outcome {
  return { kind: "failed", error: new ApiError(502, { code: "DATA_LOSS", reason, message, fields: {} }) };
}
