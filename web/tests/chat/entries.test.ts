import { expect, test } from "vitest";
import { shallowRef } from "vue";
import type { Message } from "@/api/types";
import { useEntries } from "@/chat/useEntries";
import type { LiveReply } from "@/chat/useConversation";

function message(id: string, parent: string, own: boolean, more: Partial<Message> = {}): Message {
  return {
    message_id: id,
    conversation_id: "c",
    role: own ? "MESSAGE_ROLE_READER" : "MESSAGE_ROLE_CHARACTER",
    content: `text of ${id}`,
    status: "MESSAGE_STATUS_COMPLETE",
    created_at: "2031-05-01T10:00:00Z",
    parent_id: parent,
    alternatives: 1,
    alternative: 1,
    ...more,
  };
}

const live = (more: Partial<LiveReply>): LiveReply => ({
  messageId: "new",
  parentId: "q",
  text: "",
  state: "writing",
  degraded: [],
  citations: [],
  ...more,
});

const branch = [message("o", "", false), message("q", "o", true), message("a", "q", false), message("p", "a", true)];

function shown(messages: Message[], reply?: LiveReply) {
  const talk = { messages: shallowRef<readonly Message[]>(messages), live: shallowRef(reply) };
  return { ...talk, entries: useEntries(talk) };
}

const ids = (entries: readonly { id: string }[]) => entries.map((entry) => entry.id);

test("a reply comes after what it answers", () => {
  expect(ids(shown(branch.slice(0, 2), live({})).entries.value)).toEqual(["o", "q", "new"]);
});

test("a reply that is made anew takes its place, and what followed the other is gone from this branch", () => {
  const { entries } = shown(branch, live({ replaces: "a" }));
  expect(ids(entries.value)).toEqual(["o", "q", "new"]);
  expect(entries.value.at(-1)).toMatchObject({ place: 2, alternative: 2, alternatives: 2 });
});

test("a reply is shown once, whether or not its message is in the list already", () => {
  const listed = message("new", "q", false, { status: "MESSAGE_STATUS_PENDING", content: "" });
  const { entries } = shown([...branch.slice(0, 2), listed], live({ text: "It came" }));
  expect(ids(entries.value)).toEqual(["o", "q", "new"]);
  expect(entries.value.at(-1)?.text).toBe("It came");
});

test("an opening is the first, before there is anything", () => {
  const { entries } = shown([], live({ messageId: "", parentId: "", state: "connecting" }));
  expect(entries.value).toMatchObject([{ id: "", place: 0, state: "connecting" }]);
});

test("a reply keeps its place when it is stored, and so does the version that takes it", () => {
  const { entries, messages, live: reply } = shown(branch.slice(0, 2), live({}));
  const place = entries.value.at(-1)?.place;
  messages.value = [...branch.slice(0, 2), message("new", "q", false)];
  reply.value = undefined;
  expect(entries.value.at(-1)).toMatchObject({ id: "new", place, state: "done" });
  messages.value = branch.slice(0, 3);
  expect(entries.value.at(-1)).toMatchObject({ id: "a", place });
});

test("with each word one entry is new, and the others are those that were", () => {
  const { entries, live: reply } = shown(branch.slice(0, 2), live({ text: "One" }));
  const before = entries.value;
  reply.value = live({ text: "One word" });
  const after = entries.value;
  expect(after.slice(0, 2).every((entry, index) => entry === before[index])).toBe(true);
  expect(after[2]).not.toBe(before[2]);
});

test("what is stored of a reply that was given up is shown, with why", () => {
  const failure = { code: "UNAVAILABLE", reason: "MODEL_BUSY", message: "busy", retryable: true };
  const given = message("a", "q", false, {
    status: "MESSAGE_STATUS_FAILED",
    record: { failure, degraded: ["SEARCH_UNAVAILABLE"] } as Message["record"] & object,
  });
  const { entries } = shown([...branch.slice(0, 2), given]);
  expect(entries.value.at(-1)).toMatchObject({
    state: "failed",
    text: "text of a",
    failure: { reason: "MODEL_BUSY" },
    degraded: ["SEARCH_UNAVAILABLE"],
    citations: [],
  });
});
