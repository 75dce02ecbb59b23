// A gateway with one conversation in memory, as far as the app's part of the contract goes. What replies say, and when,
// is the test's; connections break when it says so.
import type { Message } from "@/api/types";
import { frame, liveStream, refusal } from "../streams/simulation";

type Line = ReturnType<typeof liveStream>;
type Entry = { name: string; data: unknown; id: string };

export const CONVERSATION = "c0000000-0000-4000-8000-000000000000";

export class Gateway {
  readonly requests: string[] = [];
  readonly messages: Message[] = [];
  head = "";
  /** Whether the network is there. */
  up = true;
  /** What the next request that begins something is refused with. */
  refuse: (() => Response) | undefined;
  /** The next request that begins something is taken, and its answer lost. */
  loseAnswer = false;
  readonly begun = new Map<string, string>();
  readonly #logs = new Map<string, Entry[]>();
  readonly #lines = new Map<string, Set<Line>>();
  #changes = 0;
  #epoch = 1;

  /** Stands in for fetch. */
  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(new URL(String(input instanceof Request ? input.url : input), "http://localhost"), {
      ...(input instanceof Request ? { method: input.method, body: (await input.text()) || null } : init),
    } as RequestInit);
    const signal = (input instanceof Request ? input.signal : init?.signal) ?? new AbortController().signal;
    const { pathname: path } = new URL(request.url);
    this.requests.push(`${request.method} ${path}`);
    if (!this.up) throw new TypeError("Failed to fetch");
    const body = request.method === "POST" ? ((await request.json()) as Record<string, string>) : {};
    const after = new Headers(init?.headers).get("last-event-id") ?? "";
    return this.#answer(request.method, path.replace(`/api/conversations/${CONVERSATION}`, ""), body, after, signal);
  };

  #answer(method: string, path: string, body: Record<string, string>, after: string, signal: AbortSignal): Response {
    const id = /^\/messages\/([^/:]+)/.exec(path)?.[1] ?? "";
    if (path === "" && method === "GET") return Response.json(this.#conversation());
    if (path === "/messages") return Response.json({ messages: this.branch(), next_page_token: "" });
    if (path === "/messages-stream" || path.endsWith(":edit") || path.endsWith(":regenerate")) {
      return this.#begin(path, id, body, after, signal);
    }
    if (path === "/events") return this.#listen(this.branch()[0]?.message_id ?? "", after, signal);
    if (path.endsWith("/events")) return this.#listen(id, after, signal);
    if (path.endsWith(":stop")) {
      this.end(id, "stopped");
      return Response.json({ message_id: id, outcome: "stopped", content: "" });
    }
    if (path.endsWith(":choose")) {
      this.choose(id);
      return Response.json(this.#conversation());
    }
    if (path.endsWith(":fork"))
      return Response.json({ ...this.#conversation(), conversation_id: `fork-${body["request_id"]}` });
    if (path.endsWith("/alternatives")) {
      const parent = this.#message(id)?.parent_id;
      return Response.json({ messages: this.messages.filter(({ parent_id }) => parent_id === parent) });
    }
    if (path === "/tree")
      return Response.json({
        nodes: this.messages.map(({ message_id }) => ({ message_id })),
        head_message_id: this.head,
      });
    if (method === "DELETE") {
      this.head = this.#message(id)?.parent_id ?? "";
      this.messages.splice(this.messages.findIndex(({ message_id }) => message_id === id));
      this.#changes += 1;
      return new Response(null, { status: 204 });
    }
    return refusal(404, "NOT_FOUND");
  }

  #begin(path: string, id: string, body: Record<string, string>, after: string, signal: AbortSignal): Response {
    const requestId = body["request_id"] ?? "";
    const refuse = this.refuse;
    this.refuse = undefined;
    if (refuse) return refuse();
    let reply = this.begun.get(requestId) ?? "";
    if (!reply || this.#message(reply)?.status === "MESSAGE_STATUS_FAILED") {
      if (reply) this.#restart(reply);
      else {
        let parent = path.includes(":") ? (this.#message(id)?.parent_id ?? "") : this.head;
        if (body["content"] !== undefined) parent = this.add("MESSAGE_ROLE_READER", body["content"], parent).message_id;
        reply = this.write(parent);
      }
      this.begun.set(requestId, reply);
    }
    if (this.loseAnswer) {
      this.loseAnswer = false;
      throw new TypeError("Failed to fetch");
    }
    return this.#listen(reply, after, signal);
  }

  #restart(id: string): void {
    this.#change(id, { status: "MESSAGE_STATUS_PENDING", content: "" });
    this.#logs.set(id, []);
    this.#epoch += 1;
    this.#tell(id, "progress", { progress: 20, stage: "context", message: "" });
  }

  #listen(id: string, after: string, signal: AbortSignal): Response {
    const log = this.#logs.get(id);
    if (!log) return refusal(404, "NOT_FOUND");
    const line = liveStream(signal);
    const from = log.findIndex((entry) => entry.id === after) + 1;
    if (from === log.length && this.#message(id)?.status !== "MESSAGE_STATUS_PENDING")
      return new Response(null, { status: 204 });
    line.send(
      "retry: 2000\n\n" +
        log
          .slice(from)
          .map(({ name, data, id: cursor }) => frame(name, data, cursor))
          .join(""),
    );
    if (this.#message(id)?.status !== "MESSAGE_STATUS_PENDING") line.end();
    const lines = this.#lines.get(id) ?? new Set<Line>();
    this.#lines.set(id, lines.add(line));
    return line.response;
  }

  /** How many listen to a reply. */
  listeners(id: string): number {
    return [...(this.#lines.get(id) ?? [])].filter(({ over }) => !over).length;
  }

  add(
    role: Message["role"],
    content: string,
    parent = this.head,
    status: Message["status"] = "MESSAGE_STATUS_COMPLETE",
  ): Message {
    const hex = String(this.messages.length + 1).padStart(12, "0");
    const message: Message = {
      message_id: `a0000000-0000-4000-8000-${hex}`,
      conversation_id: CONVERSATION,
      role,
      content,
      status,
      created_at: "2026-01-01T00:00:00Z",
      parent_id: parent,
      alternatives: 1,
      alternative: 1,
    };
    this.messages.push(message);
    this.head = message.message_id;
    this.#changes += 1;
    return message;
  }

  /** A reply begins, whoever asked for it. */
  write(parent = this.head): string {
    const { message_id } = this.add("MESSAGE_ROLE_CHARACTER", "", parent, "MESSAGE_STATUS_PENDING");
    this.#logs.set(message_id, []);
    this.#tell(message_id, "progress", { progress: 20, stage: "context", message: "" });
    return message_id;
  }

  say(id: string, content: string): void {
    this.#tell(id, "token", { content });
  }

  end(id: string, how: "complete" | "stopped" | "failed" = "complete", failure?: object): void {
    const content = this.text(id);
    const status = {
      complete: "MESSAGE_STATUS_COMPLETE",
      stopped: "MESSAGE_STATUS_STOPPED",
      failed: "MESSAGE_STATUS_FAILED",
    } as const;
    this.#change(id, { status: status[how], content });
    const summary = {
      conversation_id: CONVERSATION,
      message_id: id,
      content,
      passage_ids: [],
      degraded: ["SEARCH_UNAVAILABLE"],
      citations: [],
      provider: "p",
      model: "m",
      usage: { prompt_tokens: 1, completion_tokens: 1, first_token_ms: 1, total_ms: 1 },
    };
    this.#tell(id, how, failure ?? summary);
    for (const line of this.#lines.get(id) ?? []) line.end();
  }

  text(id: string): string {
    return (this.#logs.get(id) ?? [])
      .filter(({ name }) => name === "token")
      .map(({ data }) => (data as { content: string }).content)
      .join("");
  }

  /** Every connection breaks. */
  cut(): void {
    for (const lines of this.#lines.values()) for (const line of lines) line.cut();
  }

  choose(id: string): void {
    this.head = id;
    this.#changes += 1;
  }

  branch(): Message[] {
    const list: Message[] = [];
    for (let message = this.#message(this.head); message; message = this.#message(message.parent_id))
      list.unshift(message);
    return list;
  }

  count(line: string): number {
    return this.requests.filter((one) => one.endsWith(line)).length;
  }

  #tell(id: string, name: string, data: unknown): void {
    const log = this.#logs.get(id);
    if (!log) throw new Error("there is no such reply");
    const cursor = `${id.replaceAll("-", "")}.${this.#epoch}.${log.length + 1}`;
    log.push({ name, data, id: cursor });
    for (const line of this.#lines.get(id) ?? []) line.send(frame(name, data, cursor));
  }

  #message(id: string): Message | undefined {
    return this.messages.find(({ message_id }) => message_id === id);
  }

  #change(id: string, change: Partial<Message>): void {
    const at = this.messages.findIndex(({ message_id }) => message_id === id);
    const message = this.messages[at];
    if (message) this.messages[at] = { ...message, ...change };
    this.#changes += 1;
  }

  #conversation() {
    const time = new Date(Date.UTC(2026, 0, 1) + this.#changes).toISOString();
    return {
      conversation_id: CONVERSATION,
      status: this.messages.length ? "CONVERSATION_STATUS_OPEN" : "CONVERSATION_STATUS_PENDING",
      head_message_id: this.head,
      updated_at: time,
    };
  }
}
