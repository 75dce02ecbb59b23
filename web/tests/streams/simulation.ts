// A browser whose time, luck and network are the test's.
import type { Environment, Sign } from "@/streams/environment";

export interface Asked {
  readonly path: string;
  readonly method: string;
  readonly body: unknown;
  readonly lastEventId: string | null;
  readonly traceparent: string | null;
  readonly signal: AbortSignal;
  readonly at: number;
}

/** Node's; the app's own code must not know it. */
declare function setImmediate(call: (value: unknown) => void): void;

type Answer = Response | Error | Promise<Response>;

export class Simulation implements Environment {
  time = 0;
  luck = 1;
  isOnline = true;
  renewals = 0;
  renewing: () => Promise<void> = () => Promise.resolve();
  readonly asked: Asked[] = [];
  #timers: { at: number; call: () => void }[] = [];
  #listeners = new Set<(sign: Sign) => void>();

  constructor(readonly server: (asked: Asked, count: number) => Answer) {}

  async fetch(path: string, init: RequestInit): Promise<Response> {
    const asked: Asked = {
      path,
      method: init.method ?? "GET",
      body: typeof init.body === "string" ? JSON.parse(init.body) : undefined,
      lastEventId: new Headers(init.headers).get("last-event-id"),
      traceparent: new Headers(init.headers).get("traceparent"),
      signal: init.signal as AbortSignal,
      at: this.time,
    };
    this.asked.push(asked);
    const answer = this.server(asked, this.asked.length);
    if (answer instanceof Error) throw answer;
    return answer;
  }

  now(): number {
    return this.time;
  }

  random(): number {
    return this.luck;
  }

  later(call: () => void, milliseconds: number): () => void {
    const timer = { at: this.time + milliseconds, call };
    this.#timers.push(timer);
    return () => (this.#timers = this.#timers.filter((other) => other !== timer));
  }

  online(): boolean {
    return this.isOnline;
  }

  listen(hear: (sign: Sign) => void): () => void {
    this.#listeners.add(hear);
    return () => this.#listeners.delete(hear);
  }

  renew(): Promise<void> {
    this.renewals += 1;
    return this.renewing();
  }

  /** What is left running: nothing, once a stream has ended. */
  get left(): number {
    return this.#timers.length + this.#listeners.size;
  }

  async give(sign: Sign): Promise<void> {
    if (sign === "online" || sign === "offline") this.isOnline = sign === "online";
    for (const hear of this.#listeners) hear(sign);
    await settle();
  }

  /** Lets so many seconds pass. */
  async pass(seconds: number): Promise<void> {
    const until = this.time + seconds * 1000;
    await settle();
    for (let next = this.#next(until); next; next = this.#next(until)) {
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.time = Math.max(this.time, next.at);
      next.call();
      await settle();
    }
    this.time = until;
  }

  /** Lets time pass until something holds, an hour at most. */
  async until(holds: () => boolean): Promise<void> {
    await settle();
    for (const end = this.time + 3_600_000; !holds();) {
      const next = this.#next(end);
      if (!next) throw new Error("it never comes to that");
      await this.pass((next.at - this.time) / 1000);
    }
  }

  #next(until: number) {
    return this.#timers.filter(({ at }) => at <= until).sort((one, other) => one.at - other.at)[0];
  }
}

/** Lets everything happen that waits for no timer. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const HEADERS = { "content-type": "text/event-stream; charset=utf-8" };

/** An answer whose bytes come in pieces; `open`: it does not end by itself. */
export function stream(pieces: readonly (string | Uint8Array)[], { open = false, error = false } = {}): Response {
  const bytes = pieces.map((piece) => (typeof piece === "string" ? new TextEncoder().encode(piece) : piece));
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      for (const piece of bytes) {
        controller.enqueue(piece);
        await Promise.resolve();
      }
      if (error) {
        await settle(); // an error drops what was not read yet
        controller.error(new TypeError("network error"));
      } else if (!open) controller.close();
    },
  });
  return new Response(body, { headers: HEADERS });
}

/** An answer that goes on as the test says, and breaks when its request is given up. */
export function liveStream(signal: AbortSignal) {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  let over = false;
  const body = new ReadableStream<Uint8Array>({
    start: (made) => void (controller = made),
    cancel: () => void (over = true),
  });
  const end = (call: () => void) => {
    if (over) return;
    over = true;
    call();
  };
  signal.addEventListener("abort", () => end(() => controller.error(new DOMException("given up", "AbortError"))));
  return {
    response: new Response(body, { headers: HEADERS }),
    get over() {
      return over;
    },
    send: (text: string) => {
      if (!over) controller.enqueue(new TextEncoder().encode(text));
    },
    end: () => end(() => controller.close()),
    cut: () => end(() => controller.error(new TypeError("network error"))),
  };
}

/** An event as the gateway writes it. */
export function frame(name: string, data: unknown, id = ""): string {
  return `event: ${name}\n${id ? `id: ${id}\n` : ""}data: ${JSON.stringify(data)}\n\n`;
}

/** A refusal as the gateway writes it. */
export function refusal(status: number, reason: string, headers: Record<string, string> = {}): Response {
  return Response.json(
    { error: { code: "X", reason, message: reason.toLowerCase(), fields: {} } },
    { status, headers },
  );
}
