// @vitest-environment node
import { expect, test } from "vitest";
import type { Message } from "@/api/types";
import { merged, pendingReply, saying, shown } from "@/chat/branch";
import { messageOf } from "@/chat/liveReply";

function message(id: string, change: Partial<Message> = {}): Message {
  return { ...saying("c", "", id), message_id: id, status: "MESSAGE_STATUS_COMPLETE", created_at: "", ...change };
}

test("the message of a cursor", () => {
  expect(messageOf("0123456789abcdef0123456789abcdef.2.17")).toBe("01234567-89ab-cdef-0123-456789abcdef");
  for (const other of ["", "17", "0123456789abcdef0123456789abcdef", "x123456789abcdef0123456789abcdef.1.1"])
    expect(messageOf(other)).toBe("");
});

test("the branch is shown up to a message, without the live one, with what is said", () => {
  const branch = [message("a"), message("b"), message("c")];
  const ids = (...args: Parameters<typeof shown>) => shown(...args).map(({ message_id }) => message_id);
  expect(ids(branch, undefined, "")).toEqual(["a", "b", "c"]);
  expect(ids(branch, undefined, "c")).toEqual(["a", "b"]);
  expect(ids(branch, { until: "b" }, "")).toEqual(["a"]);
  expect(ids(branch, { until: "gone" }, "")).toEqual(["a", "b", "c"]);
  expect(ids(branch, { until: "b", said: message("") }, "")).toEqual(["a", ""]);
});

test("the newest reply that is being written", () => {
  const pending = { role: "MESSAGE_ROLE_CHARACTER", status: "MESSAGE_STATUS_PENDING" } as const;
  expect(pendingReply([message("a", pending), message("b", pending), message("c")])?.message_id).toBe("b");
  expect(pendingReply([message("c", { status: "MESSAGE_STATUS_PENDING" })])).toBeUndefined();
});

test("messages that are the same stay the same objects, and so does a branch", () => {
  const before = [message("a"), message("b")];
  expect(merged(before, [message("a"), message("b")])).toBe(before);
  const now = merged(before, [message("a"), message("b", { content: "other" }), message("c")]);
  expect(now[0]).toBe(before[0]);
  expect(now[1]).not.toBe(before[1]);
  expect(now).toHaveLength(3);
});
