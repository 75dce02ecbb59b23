// @vitest-environment happy-dom
import { expect, test } from "vitest";
import AlternativesControl from "@/chat/AlternativesControl.vue";
import { mounted } from "./mounted";

function control(number: number, total: number, disabled = false) {
  const wrapper = mounted(AlternativesControl, { number, total, disabled });
  const [previous, next] = wrapper.findAll("button");
  if (!previous || !next) throw new Error("there are not two buttons");
  return { wrapper, previous, next, turns: () => (wrapper.emitted("turn") ?? []).flat() };
}

test("goes to the version before and after, by its buttons and by arrow keys", async () => {
  const { wrapper, previous, next, turns } = control(2, 3);
  expect(wrapper.text()).toContain("2/3");
  await previous.trigger("click");
  await next.trigger("click");
  await next.trigger("keydown", { key: "ArrowLeft" });
  await previous.trigger("keydown", { key: "ArrowRight" });
  await previous.trigger("keydown", { key: "ArrowUp" });
  expect(turns()).toEqual([-1, 1, -1, 1]);
});

test("ends at the ends, where its buttons keep the focus", async () => {
  const { wrapper, previous, next, turns } = control(1, 2);
  await previous.trigger("click");
  await previous.trigger("keydown", { key: "ArrowLeft" });
  expect(turns()).toEqual([]);
  expect(previous.attributes()).toMatchObject({ "aria-disabled": "true" });
  expect(previous.element.disabled).toBe(false);
  await wrapper.setProps({ number: 2 });
  await next.trigger("click");
  expect(turns()).toEqual([]);
});

test("does nothing while a reply is written", async () => {
  const { previous, next, turns } = control(2, 3, true);
  await previous.trigger("click");
  await next.trigger("keydown", { key: "ArrowRight" });
  expect(turns()).toEqual([]);
});

test("says the place in words, in the reader's language", () => {
  expect(control(2, 3).wrapper.get('[aria-live="polite"] .hidden-text').text()).toBe("Version 2 of 3");
  const korean = mounted(AlternativesControl, { number: 2, total: 3 }, "ko");
  expect(korean.get('[aria-live="polite"] .hidden-text').text()).toBe("3개 중 2번째 버전");
});
