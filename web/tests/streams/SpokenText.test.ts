// @vitest-environment happy-dom
import { mount } from "@vue/test-utils";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import SpokenText from "@/streams/SpokenText.vue";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function speak(text: string, done = false) {
  const wrapper = mount(SpokenText, { props: { text, done, name: "Elizabeth" } });
  return { wrapper, lines: () => wrapper.findAll("p").map((line) => line.text()) };
}

test("sentences are said when they are whole, some at a time, and the rest at the end", async () => {
  const { wrapper, lines } = speak("");
  await wrapper.setProps({ text: "I nev" });
  expect(lines()).toEqual([]);
  await wrapper.setProps({ text: "I never said so. You m" });
  expect(lines()).toEqual(["Elizabeth: I never said so."]);
  await wrapper.setProps({ text: "I never said so. You misheard. Good day. An" });
  expect(lines()).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1500);
  expect(lines().at(-1)).toBe("You misheard. Good day.");
  await wrapper.setProps({ text: "I never said so. You misheard. Good day. And", done: true });
  expect(lines()).toEqual(["Elizabeth: I never said so.", "You misheard. Good day.", "And"]);
});

test("lines are few, however long it is", async () => {
  const { wrapper, lines } = speak("");
  let text = "";
  for (let turn = 1; turn <= 50; turn += 1) {
    text += `Sentence ${turn}. `;
    await wrapper.setProps({ text });
    await vi.advanceTimersByTimeAsync(1500);
  }
  expect(lines().length).toBeLessThanOrEqual(4);
  expect(lines().at(-1)).toBe("Sentence 49.");
});

test("after a seam it goes on where the texts part", async () => {
  const { wrapper, lines } = speak("");
  await wrapper.setProps({ text: "One. Two. Thr" });
  await wrapper.setProps({ text: "One. Four. Fi" });
  await vi.advanceTimersByTimeAsync(1500);
  await wrapper.setProps({ text: "One. Four. Five.", done: true });
  expect(lines()).toEqual(["Elizabeth: One. Two.", "Four.", "Five."]);
});

test("what was there before is not said", async () => {
  const { wrapper, lines } = speak("All of it. ", true);
  await wrapper.setProps({ name: "Elizabeth Bennet" });
  expect(lines()).toEqual([]);
});

test("it leaves nothing behind", async () => {
  const { wrapper } = speak("One. Tw");
  const before = vi.getTimerCount(); // Vue has one of its own in its first seconds
  wrapper.unmount();
  expect(vi.getTimerCount()).toBe(before - 1);
});
