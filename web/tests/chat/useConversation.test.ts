// @vitest-environment happy-dom
import { effectScope, nextTick, watch } from "vue";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ApiError } from "@/api/errors";
import { useConversation, type LiveReply } from "@/chat/useConversation";
import { CONVERSATION, Gateway } from "./gateway";
import { refusal } from "../streams/simulation";

vi.mock("@/api/session", () => ({
  welcomed: Promise.resolve(),
  renew: () => Promise.resolve(),
  onReaderChange: () => () => undefined,
}));

let gateway: Gateway;
let scopes: ReturnType<typeof effectScope>[];

beforeEach(() => {
  gateway = new Gateway();
  scopes = [];
  sessionStorage.clear();
  vi.stubGlobal("fetch", gateway.fetch);
});

afterEach(() => {
  for (const scope of scopes) scope.stop();
  vi.unstubAllGlobals();
});

/** A tab on the conversation, or the same one again after a reload. */
function open() {
  const scope = effectScope();
  scopes.push(scope);
  const used = scope.run(() => useConversation(() => CONVERSATION));
  if (!used) throw new Error("the scope is not active");
  // What is shown for a moment only counts as well.
  const lives: (LiveReply | undefined)[] = [];
  scope.run(() => watch(used.live, (live) => lives.push(live), { flush: "sync" }));
  return {
    ...used,
    lives,
    leave: () => scope.stop(),
    contents: () => used.messages.value.map(({ content }) => content),
  };
}

/** Waits until the page has come to that; the test's own time limit bounds it. */
async function until(holds: () => boolean): Promise<void> {
  await vi.waitUntil(holds, { timeout: 4000, interval: 5 });
  await nextTick();
}

async function opened() {
  gateway.add("MESSAGE_ROLE_CHARACTER", "Good day.");
  const talk = open();
  await until(() => talk.messages.value.length === 1);
  return talk;
}

test("a message is shown at once, its reply as it comes, and in the end both are stored ones", async () => {
  const talk = await opened();
  const sending = talk.send("Hello");
  expect(talk.contents()).toEqual(["Good day.", "Hello"]);
  expect(talk.live.value).toMatchObject({ state: "connecting", messageId: "", text: "" });
  expect(talk.busy.value).toBe(true);
  await sending;
  const id = gateway.head;
  await until(() => talk.messages.value.at(-1)?.message_id !== "");
  expect(talk.live.value).toMatchObject({ messageId: id, state: "preparing", progress: { progress: 20 } });
  expect(talk.contents()).toEqual(["Good day.", "Hello"]);
  gateway.say(id, "I ");
  gateway.say(id, "am.");
  await until(() => talk.live.value?.text === "I am.");
  expect(talk.live.value).toMatchObject({ state: "writing", parentId: talk.messages.value.at(-1)?.message_id });
  gateway.end(id);
  await until(() => !talk.live.value);
  expect(talk.busy.value).toBe(false);
  expect(talk.lives.at(-2)).toMatchObject({ state: "complete", text: "I am.", degraded: ["SEARCH_UNAVAILABLE"] });
  expect(talk.contents()).toEqual(["Good day.", "Hello", "I am."]);
  expect(talk.messages.value.at(-1)).toMatchObject({
    message_id: id,
    status: "MESSAGE_STATUS_COMPLETE",
    record: { provider: "p" },
  });
  expect(gateway.listeners(id)).toBe(0);
});

test("a cut in the middle changes nothing but that it says so", async () => {
  const talk = await opened();
  await talk.send("Hello");
  const id = gateway.head;
  gateway.say(id, "One ");
  await until(() => talk.live.value?.text === "One ");
  gateway.up = false;
  gateway.cut();
  await until(() => talk.live.value?.state === "reconnecting");
  expect(talk.live.value?.text).toBe("One ");
  gateway.say(id, "two.");
  gateway.up = true;
  await until(() => talk.live.value?.text === "One two.");
  gateway.end(id);
  await until(() => !talk.live.value);
  expect(talk.contents()).toEqual(["Good day.", "Hello", "One two."]);
  expect(gateway.count("messages-stream")).toBe(1);
  expect(gateway.count(`${id}/events`)).toBeGreaterThan(0);
});

test("an answer that is lost is not a second message", async () => {
  const talk = await opened();
  gateway.loseAnswer = true;
  await talk.send("Hello");
  expect(gateway.begun.size).toBe(1);
  expect(gateway.messages.map(({ content }) => content)).toEqual(["Good day.", "Hello", ""]);
});

test("what is refused leaves no trace, and the same again is the same request", async () => {
  const talk = await opened();
  gateway.refuse = () => refusal(400, "INVALID_FIELD");
  await expect(talk.send("Hello")).rejects.toMatchObject({ reason: "INVALID_FIELD" });
  expect(talk.live.value).toBeUndefined();
  expect(talk.contents()).toEqual(["Good day."]);
  gateway.refuse = () => refusal(503, "CIRCUIT_OPEN", { "retry-after": "90" });
  await expect(talk.send("Hello")).rejects.toBeInstanceOf(ApiError);
  await talk.send("Hello");
  expect(gateway.begun.size).toBe(1);
});

test("while a reply is written nothing else is begun", async () => {
  const talk = await opened();
  await talk.send("Hello");
  await expect(talk.send("Again")).rejects.toMatchObject({ reason: "BUSY" });
  await expect(talk.regenerate("x")).rejects.toMatchObject({ reason: "BUSY" });
});

test("a page that is loaded in the middle of a reply goes on with it from its start", async () => {
  const first = await opened();
  await first.send("Hello");
  const id = gateway.head;
  gateway.say(id, "One ");
  first.leave();
  const again = open();
  await until(() => again.live.value?.text === "One ");
  expect(again.contents()).toEqual(["Good day.", "Hello"]);
  gateway.say(id, "two.");
  gateway.end(id);
  await until(() => !again.live.value && again.messages.value.length === 3);
  expect(again.contents()).toEqual(["Good day.", "Hello", "One two."]);
  expect(again.error.value).toBeUndefined();
});

test("a page that is left before it is known whether a message has gone goes on with it", async () => {
  const first = await opened();
  gateway.up = false;
  const sending = first.send("Hello");
  first.leave();
  await expect(sending).rejects.toMatchObject({ name: "AbortError" });
  gateway.up = true;
  const again = open();
  await until(() => again.live.value?.state === "preparing");
  await until(() => again.messages.value.length === 2);
  expect(again.contents()).toEqual(["Good day.", "Hello"]);
  expect(gateway.begun.size).toBe(1);
});

test("the opening of a new conversation is watched", async () => {
  const talk = open();
  const id = gateway.write("");
  gateway.say(id, "Welcome.");
  await until(() => talk.live.value?.text === "Welcome.");
  expect(talk.messages.value).toEqual([]);
  gateway.end(id);
  await until(() => talk.messages.value.length === 1 && !talk.live.value);
});

test("two tabs stay in step, and what one stops is stopped in both", async () => {
  // Tabs that share a script share its channel, which does not hear itself: it hears this one.
  const relay = new BroadcastChannel("gaji.conversations");
  relay.onmessage = ({ data }: MessageEvent<unknown>) => relay.postMessage(data);
  const one = await opened();
  const two = open();
  await until(() => two.messages.value.length === 1);
  await one.send("Hello");
  const id = gateway.head;
  gateway.say(id, "One ");
  await until(() => two.live.value?.text === "One " && two.messages.value.length === 2);
  await two.stop();
  await until(() => !one.live.value && !two.live.value);
  expect(one.contents()).toEqual(["Good day.", "Hello", "One "]);
  expect(two.contents()).toEqual(one.contents());
  expect(one.messages.value.at(-1)?.status).toBe("MESSAGE_STATUS_STOPPED");
  relay.close();
});

test("what is stopped before it is known is stopped as soon as it is; without a network it is given up", async () => {
  const talk = await opened();
  const sending = talk.send("Hello");
  await talk.stop();
  await sending;
  await until(() => talk.messages.value.at(-1)?.status === "MESSAGE_STATUS_STOPPED");

  gateway.up = false;
  const again = talk.send("Again");
  await until(() => talk.live.value?.state === "reconnecting");
  await talk.stop();
  await expect(again).rejects.toMatchObject({ name: "AbortError" });
  expect(talk.live.value).toBeUndefined();
});

test("a reply that fails says why, and is begun anew by the request that it came from", async () => {
  const talk = await opened();
  await talk.send("Hello");
  const id = gateway.head;
  gateway.say(id, "Half");
  gateway.end(id, "failed", { code: "UNAVAILABLE", reason: "MODEL_UNREACHABLE", message: "away", retryable: true });
  await until(() => talk.live.value?.state === "failed");
  expect(talk.live.value).toMatchObject({ text: "Half", failure: { reason: "MODEL_UNREACHABLE" } });
  expect(talk.contents()).toEqual(["Good day.", "Hello"]);
  expect(talk.busy.value).toBe(false);
  await talk.retry();
  expect(gateway.head).toBe(id);
  gateway.say(id, "Whole.");
  gateway.end(id);
  await until(() => !talk.live.value);
  expect(talk.contents()).toEqual(["Good day.", "Hello", "Whole."]);
});

test("a failed reply becomes one message among others when something else begins", async () => {
  const talk = await opened();
  await talk.send("Hello");
  gateway.end(gateway.head, "failed", { code: "INTERNAL", reason: "X", message: "", retryable: false });
  await until(() => talk.live.value?.state === "failed");
  await talk.send("Again");
  expect(talk.messages.value.map(({ status }) => status.slice(15))).toContain("FAILED");
});

test("another answer takes the place of one, and other words that of the reader's", async () => {
  const talk = await opened();
  await talk.send("Hello");
  const first = gateway.head;
  gateway.say(first, "One.");
  gateway.end(first);
  await until(() => talk.messages.value.length === 3 && !talk.live.value);

  const another = talk.regenerate(first);
  expect(talk.live.value).toMatchObject({ replaces: first, parentId: talk.messages.value.at(-1)?.message_id });
  expect(talk.contents()).toEqual(["Good day.", "Hello"]);
  await another;
  gateway.say(gateway.head, "Two.");
  gateway.end(gateway.head);
  await until(() => talk.contents().at(-1) === "Two." && !talk.live.value);

  const said = talk.messages.value[1]?.message_id ?? "";
  const edit = talk.edit(said, "Good evening");
  expect(talk.contents()).toEqual(["Good day.", "Good evening"]);
  await edit;
  gateway.end(gateway.head);
  await until(() => !talk.live.value);
  expect(talk.contents()).toEqual(["Good day.", "Good evening", ""]);

  await talk.choose(first);
  expect(talk.contents()).toEqual(["Good day.", "Hello", "One."]);
  expect(await talk.alternatives(first)).toHaveLength(2);
  await talk.remove(first);
  expect(talk.contents()).toEqual(["Good day.", "Hello"]);
});

test("another branch that is chosen takes what is live along", async () => {
  const talk = await opened();
  const opening = gateway.head;
  await talk.send("Hello");
  await until(() => talk.messages.value.at(-1)?.message_id !== "");
  const id = gateway.head;
  await talk.choose(opening);
  expect(talk.live.value).toBeUndefined();
  expect(talk.contents()).toEqual(["Good day."]);
  await until(() => gateway.listeners(id) === 0);
});

test("a fork whose answer is lost is the same fork", async () => {
  const talk = await opened();
  gateway.up = false;
  await expect(talk.fork("a")).rejects.toMatchObject({ status: 0 });
  gateway.up = true;
  const made = await talk.fork("a");
  expect((await talk.fork("a")).conversation_id).not.toBe(made.conversation_id);
});

test("a tree that was looked at stays right", async () => {
  const talk = await opened();
  await talk.loadTree();
  expect(talk.tree.value).toHaveLength(1);
  await talk.send("Hello");
  await until(() => talk.tree.value.length === 3);
});

test("a conversation that can't be loaded says why, and is loaded when it is asked for again", async () => {
  gateway.up = false;
  const talk = open();
  await until(() => !!talk.error.value);
  gateway.up = true;
  gateway.add("MESSAGE_ROLE_CHARACTER", "Good day.");
  await talk.reload();
  expect(talk.error.value).toBeUndefined();
  expect(talk.contents()).toEqual(["Good day."]);
});

test("fifty replies leave nothing behind", async () => {
  const added: string[] = [];
  for (const target of [globalThis, document] as EventTarget[]) {
    const add = target.addEventListener.bind(target);
    vi.spyOn(target, "addEventListener").mockImplementation((name: string, call: unknown, options?: unknown) => {
      const signal = (options as AddEventListenerOptions | undefined)?.signal;
      added.push(name);
      signal?.addEventListener("abort", () => added.splice(added.indexOf(name), 1));
      add(name, call as EventListener, options as AddEventListenerOptions);
    });
  }
  const talk = await opened();
  const before = added.length;
  for (let turn = 1; turn <= 50; turn += 1) {
    await talk.send(`Hello ${turn}`);
    const id = gateway.head;
    gateway.say(id, "Yes.");
    gateway.end(id);
    await until(() => !talk.live.value && talk.messages.value.length === 1 + 2 * turn);
    expect(gateway.listeners(id)).toBe(0);
  }
  expect(added.length).toBe(before);
  expect(sessionStorage.length).toBe(0);
  vi.restoreAllMocks();
});
