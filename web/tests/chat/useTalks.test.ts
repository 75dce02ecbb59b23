// @vitest-environment happy-dom
import { flushPromises } from "@vue/test-utils";
import { afterEach, expect, test, vi } from "vitest";
import { effectScope } from "vue";
import { useTalks } from "@/chat/useTalks";

afterEach(() => {
  vi.unstubAllGlobals();
});

const page = (ids: string[], next: string) => ({
  conversations: ids.map((id) => ({ conversation_id: id })),
  next_page_token: next,
});

/** Answers each request in turn; the last of the answers is given again and again. */
function answering(...answers: [status: number, body: object][]) {
  const asked: string[] = [];
  vi.stubGlobal("fetch", (request: Request) => {
    asked.push(`${request.method} ${request.url.replace(/^.*?\/api/, "")}`);
    const [status, body] = answers[Math.min(asked.length, answers.length) - 1] ?? [500, {}];
    return Promise.resolve(new Response(status === 204 ? null : JSON.stringify(body), { status }));
  });
  return asked;
}

function opened() {
  const scope = effectScope();
  const list = scope.run(useTalks);
  if (!list) throw new Error("the scope has ended");
  return { ...list, ids: () => list.talks.value?.map((talk) => talk.conversation_id), leave: () => scope.stop() };
}

test("pages follow each other, and one that has moved between them is listed once", async () => {
  const asked = answering([200, page(["a", "b"], "two")], [200, page(["b", "c"], "")], [204, {}]);
  const list = opened();
  await flushPromises();
  expect([list.ids(), list.more.value]).toEqual([["a", "b"], true]);
  await list.load();
  expect([list.ids(), list.more.value]).toEqual([["a", "b", "c"], false]);
  await list.remove("b");
  expect(list.ids()).toEqual(["a", "c"]);
  expect(asked).toEqual([
    "GET /conversations?page_size=20",
    "GET /conversations?page_size=20&page_token=two",
    "DELETE /conversations/b",
  ]);
  list.leave();
});

test("what is listed stays when the next page cannot be had, and is asked for again", async () => {
  const refusal = { error: { code: "INVALID_ARGUMENT", reason: "X", message: "no", fields: {} } };
  answering([200, page(["a"], "two")], [400, refusal], [200, page(["b"], "")]);
  const list = opened();
  await flushPromises();
  await list.load();
  expect([list.ids(), String(list.error.value)]).toEqual([["a"], "ApiError: no"]);
  await list.load();
  expect([list.ids(), list.error.value]).toEqual([["a", "b"], undefined]);
  list.leave();
});
