// Calls to the gateway, typed by its OpenAPI document (schema.d.ts is generated: `make types`).
import createClient from "openapi-fetch";
import { anyOf } from "./browser";
import { ApiError } from "./errors";
import type { paths } from "./schema";
import { renew, welcomed } from "./session";
import { newTrace } from "./trace";

const SECONDS = 30;
const TRIES = 3;

/** Waits, unless a signal ends it. */
export function pause(milliseconds: number, signal?: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      },
      { once: true },
    );
  });
}

/** fetch() with a deadline; an expired session is renewed, and what only reads is asked again when nobody answers. */
export async function sessionFetch(request: Request): Promise<Response> {
  const signal = anyOf(request.signal, AbortSignal.timeout(SECONDS * 1000));
  await welcomed;
  let renewed = false;
  const trace = newTrace();
  for (let tries = 1; ; tries += 1) {
    let response: Response;
    request.headers.set("traceparent", trace());
    try {
      response = await fetch(request.clone(), { signal });
    } catch (error) {
      if (signal.aborted || request.method !== "GET" || tries >= TRIES) throw error;
      await pause(200 * 2 ** tries * Math.random(), signal);
      continue;
    }
    if (response.status === 401 && !renewed) {
      renewed = true;
      await renew();
      continue;
    }
    if (response.status !== 503 || request.method !== "GET" || tries >= TRIES) return response;
    const seconds = Number(response.headers.get("retry-after") ?? 0.5);
    await pause(Math.min(seconds, 3) * 1000 * (0.5 + Math.random()), signal);
  }
}

export const api = createClient<paths>({
  baseUrl: globalThis.location?.origin ?? "",
  fetch: sessionFetch,
});

/**
 * What a call answers.
 *
 * Raises ApiError: it was refused, or nobody answered.
 */
export async function answer<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  let result: { data?: T; error?: unknown; response: Response };
  try {
    result = await call;
  } catch (error) {
    if (error instanceof ApiError || (error instanceof DOMException && error.name === "AbortError")) throw error;
    throw ApiError.unreachable(error);
  }
  if (result.response.ok) return result.data as T;
  throw ApiError.saying(result.response, result.error);
}
