// What browsers lack: some of it on pages that come by plain http from another machine (no secure context), some of it
// in older releases.

/** A new request id: 128 bits, in hexadecimal. `crypto.randomUUID` is there in secure contexts alone. */
export function newRequestId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A signal that ends with the first of several (`AbortSignal.any`, which Safari has since 17.4). */
export function anyOf(...signals: readonly AbortSignal[]): AbortSignal {
  if ("any" in AbortSignal) return AbortSignal.any([...signals]);
  const first = new AbortController();
  for (const signal of signals) {
    if (signal.aborted) first.abort(signal.reason);
    signal.addEventListener("abort", () => first.abort(signal.reason), { once: true, signal: first.signal });
  }
  return first.signal;
}

let last: Promise<void> = Promise.resolve();

/** Does work that no other tab does at the same time; in a page without locks, none of this tab. */
export async function alone(name: string, work: () => Promise<void>): Promise<void> {
  const locks = navigator.locks as LockManager | undefined;
  if (locks) await locks.request(name, work);
  else await (last = last.catch(() => undefined).then(work));
}
