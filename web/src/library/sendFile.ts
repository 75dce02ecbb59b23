// Sends a file and tells how far it is. XMLHttpRequest and not fetch, which tells nothing of what it has sent.
import { ApiError } from "@/api/errors";
import { renew } from "@/api/session";
import type { components } from "@/api/schema";

/** Seconds without a byte sent after which the way is taken for dead. */
const STALL_SECONDS = 30;
/** Seconds that the answer may take after the last byte; the route itself is given 30. */
const ANSWER_SECONDS = 60;

export type Sent = components["schemas"]["CreateNovelResponse"];

export interface Sending {
  file: File;
  /** Makes a repeated sending the same novel. */
  requestId: string;
  /** Whether its owner alone sees the novel; else it is as the service is set. */
  onlyMine: boolean;
  /** Ends it. */
  signal: AbortSignal;
  /** Hears how many bytes of how many are sent. */
  onProgress: (sent: number, total: number) => void;
}

/** What stands outside, replaced in tests. */
export interface Outside {
  request: () => XMLHttpRequest;
  renew: () => Promise<void>;
}

const browser: Outside = { request: () => new XMLHttpRequest(), renew };

/**
 * Stores a file as a novel; an expired session is renewed once.
 *
 * Raises ApiError: it was refused or nobody answered; or the signal's reason.
 */
export async function sendFile(sending: Sending, outside: Outside = browser): Promise<Sent> {
  const query = new URLSearchParams({ file_name: sending.file.name.slice(-255), request_id: sending.requestId });
  if (sending.onlyMine) query.set("visibility", "VISIBILITY_PRIVATE");
  const url = `/api/novels:upload?${query.toString()}`;
  let response = await sent(url, sending, outside);
  if (response.status === 401) {
    await outside.renew();
    response = await sent(url, sending, outside);
  }
  if (!response.ok) throw await ApiError.of(response);
  return (await response.json()) as Sent;
}

function sent(url: string, { file, signal, onProgress }: Sending, outside: Outside): Promise<Response> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = outside.request();
    let watch: ReturnType<typeof setTimeout> | undefined;
    const waits = (seconds: number) => {
      clearTimeout(watch);
      watch = setTimeout(() => {
        fail(ApiError.unreachable(`nothing moved for ${seconds} s`));
        request.abort();
      }, seconds * 1000);
    };
    const abort = () => {
      fail(signal.reason as Error);
      request.abort();
    };
    const done = () => {
      clearTimeout(watch);
      signal.removeEventListener("abort", abort);
    };
    const fail = (error: Error) => {
      done();
      reject(error);
    };

    request.open("POST", url);
    request.setRequestHeader("content-type", file.type || "application/octet-stream");
    request.upload.onprogress = ({ loaded, total }) => {
      waits(loaded < total ? STALL_SECONDS : ANSWER_SECONDS);
      onProgress(loaded, total);
    };
    request.upload.onload = () => waits(ANSWER_SECONDS);
    request.onerror = () => fail(ApiError.unreachable("the network is away"));
    request.onload = () => {
      done();
      resolve(responseOf(request));
    };
    signal.addEventListener("abort", abort, { once: true });
    waits(STALL_SECONDS);
    request.send(file);
  });
}

/** A Response, so that errors are read in one place. */
function responseOf(request: XMLHttpRequest): Response {
  const headers = new Headers();
  const later = request.getResponseHeader("retry-after");
  if (later) headers.set("retry-after", later);
  const empty = request.status === 204 || request.status === 304;
  return new Response(empty ? null : request.responseText, {
    status: request.status,
    statusText: request.statusText,
    headers,
  });
}
