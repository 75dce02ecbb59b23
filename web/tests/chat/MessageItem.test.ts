// @vitest-environment happy-dom
import { flushPromises } from "@vue/test-utils";
import { expect, test, vi } from "vitest";
import { ApiError } from "@/api/errors";
import type { Acts } from "@/chat/acts";
import type { Entry } from "@/chat/entries";
import MessageItem from "@/chat/MessageItem.vue";
import { mounted } from "./mounted";

const reply: Entry = {
  place: 2,
  id: "a",
  own: false,
  text: "I *will* not.",
  state: "done",
  progress: undefined,
  failure: undefined,
  degraded: [],
  citations: [],
  alternative: 1,
  alternatives: 1,
};
const said: Entry = { ...reply, place: 1, id: "q", own: true, text: "Will you?" };

function item(entry: Entry, more: { busy?: boolean; edit?: Acts["edit"] } = {}) {
  const acts = {
    copy: vi.fn(),
    regenerate: vi.fn(),
    edit: vi.fn(more.edit ?? (() => Promise.resolve())),
    fork: vi.fn(),
    remove: vi.fn(),
    turn: vi.fn(),
    retry: vi.fn(),
    open: vi.fn(),
  };
  const wrapper = mounted(MessageItem, { entry, name: "Emma", busy: more.busy ?? false, last: true, acts });
  const press = (label: string) => wrapper.get(`button[aria-label="${label}"]`).trigger("click");
  return { wrapper, acts, press };
}

test("before the first word it says how far it is", async () => {
  const { wrapper } = item({ ...reply, text: "", state: "connecting" }, { busy: true });
  expect(wrapper.get("progress").attributes("value")).toBe("0");
  const progress = { progress: 50, stage: "passages", message: "Found 5 passages" };
  await wrapper.setProps({ entry: { ...reply, text: "", state: "preparing", progress } });
  expect(wrapper.get("progress").attributes("value")).toBe("50");
  expect(wrapper.text()).toContain("Reading in the book");
  await wrapper.setProps({ entry: { ...reply, text: "I", state: "writing", progress } });
  expect(wrapper.find("progress").exists()).toBe(false);
  expect(wrapper.find('[role="group"]').exists()).toBe(false);
});

test("the text that was being written keeps its elements when it is stored", async () => {
  const { wrapper } = item({ ...reply, state: "writing" }, { busy: true });
  const paragraph = wrapper.get("p").element;
  await wrapper.setProps({ entry: { ...reply, text: "I *will* not. Never.", state: "writing" } });
  await wrapper.setProps({ entry: { ...reply, text: "I *will* not. Never." }, busy: false });
  expect(wrapper.get("p").element).toBe(paragraph);
  expect(wrapper.text()).toContain("I will not. Never.");
});

test("a reply that was given up says why, and is tried again where that can help", async () => {
  const failure = { code: "UNAVAILABLE", reason: "MODEL_BUSY", message: "busy", retryable: true };
  const { wrapper, acts } = item({ ...reply, state: "failed", failure });
  expect(wrapper.text()).toContain("Emma could not finish");
  expect(wrapper.text()).toContain("more to do than it can");
  await wrapper.get(".note button").trigger("click");
  expect(acts.retry).toHaveBeenCalledOnce();
  await wrapper.setProps({ entry: { ...reply, state: "failed", failure: { ...failure, retryable: false } } });
  expect(wrapper.find(".note button").exists()).toBe(false);
});

test("stopped, degraded, reconnecting and offline are said", async () => {
  const { wrapper } = item({ ...reply, state: "stopped", degraded: ["SEARCH_UNAVAILABLE", "SOMETHING_NEW"] });
  expect(wrapper.text()).toContain("Stopped here");
  expect(wrapper.text()).toContain("Search did not answer");
  expect(wrapper.text()).not.toContain("SOMETHING_NEW");
  await wrapper.setProps({ entry: { ...reply, state: "reconnecting" } });
  expect(wrapper.text()).toContain("Nothing is lost");
  await wrapper.setProps({ entry: { ...reply, state: "offline" } });
  expect(wrapper.text()).toContain("You are offline");
});

test("an opening that is the only one cannot be deleted: that would be the whole conversation", () => {
  const deletable = (entry: Entry) => item(entry).wrapper.find(`button[aria-label="Delete"]`).exists();
  expect(deletable({ ...reply, place: 0 })).toBe(false);
  expect(deletable({ ...reply, place: 0, alternatives: 2 })).toBe(true);
  expect(deletable(reply)).toBe(true);
});

test("while a reply is written, what would change the branch is away", () => {
  const labels = (busy: boolean) =>
    item(reply, { busy })
      .wrapper.findAll("button")
      .map((button) => button.attributes("aria-label"));
  expect(labels(false)).toEqual(["Copy", "Let it be said in another way", "New conversation from here", "Delete"]);
  expect(labels(true)).toEqual(["Copy", "New conversation from here"]);
});

test("a message is edited in its place; what is refused stays in the form", async () => {
  const refusal = new ApiError(503, { code: "UNAVAILABLE", reason: "X", message: "not now", fields: {} });
  const edit = vi.fn().mockRejectedValueOnce(refusal).mockResolvedValue(undefined);
  const { wrapper, press } = item(said, { edit });
  await press("Edit");
  const box = wrapper.get("textarea");
  expect(box.element.value).toBe("Will you?");
  expect(document.activeElement).toBe(box.element);
  await box.setValue("Would you?");
  await wrapper.get("form").trigger("submit");
  // On the page it stands at once, as what is being sent; refused, it is the old one again.
  await wrapper.setProps({ entry: { ...said, id: "", text: "Would you?" } });
  await flushPromises();
  await wrapper.setProps({ entry: said });
  expect(wrapper.get("textarea").element.value).toBe("Would you?");
  expect(wrapper.get('[role="alert"]').text()).toContain("not now");
  await wrapper.get("form").trigger("submit");
  await flushPromises();
  expect(edit).toHaveBeenLastCalledWith(said, "Would you?");
  expect(wrapper.find("form").exists()).toBe(false);
});

test("Escape leaves a message as it was", async () => {
  const { wrapper, acts, press } = item(said);
  await press("Edit");
  await wrapper.get("textarea").setValue("Something else");
  await wrapper.get("textarea").trigger("keydown", { key: "Escape" });
  await flushPromises();
  expect(wrapper.text()).toContain("Will you?");
  expect(acts.edit).not.toHaveBeenCalled();
  expect(document.activeElement).toBe(wrapper.get("article").element);
});

test("a touch swiped to the side turns to the next version, one up or down scrolls", async () => {
  const { wrapper, acts } = item({ ...reply, alternative: 1, alternatives: 2 });
  const article = wrapper.get("article");
  async function swipe(x: number, y: number, pointerType = "touch"): Promise<void> {
    const at = { pointerId: 1, pointerType };
    await article.trigger("pointerdown", { ...at, clientX: 300, clientY: 300 });
    await article.trigger("pointermove", { ...at, clientX: 300 + x, clientY: 300 + y });
    await article.trigger("pointerup", { ...at, clientX: 300 + x, clientY: 300 + y });
  }
  await swipe(-80, 200);
  await swipe(-20, 0);
  await swipe(-80, 5, "mouse");
  await swipe(80, 5); // there is none before the first
  expect(acts.turn).not.toHaveBeenCalled();
  await swipe(-80, 5);
  expect(acts.turn.mock.calls).toEqual([[expect.objectContaining({ id: "a" }), 1]]);
});

test("the passages behind a reply open in the book", async () => {
  const citation = { passage_id: "p1", chapter: 12, chapter_title: "The ball", excerpt: "He bowed", score: 0.5 };
  const { wrapper, acts } = item({ ...reply, citations: [citation] });
  expect(wrapper.get("summary").text()).toBe("From 1 passage of the book");
  expect(wrapper.get(".source").text()).toContain("Chapter 12 · The ball");
  await wrapper.get(".source").trigger("click");
  expect(acts.open).toHaveBeenCalledWith(citation);
});
