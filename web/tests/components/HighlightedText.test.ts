import { mount } from "@vue/test-utils";
import { expect, test } from "vitest";
import { h } from "vue";
import HighlightedText from "@/components/HighlightedText.vue";

test("the text comes out as it is, with its markup as text", () => {
  const text = "  The lamp\n\n<b>burned</b> — a lamp & oil ";
  const wrapper = mount({ render: () => h("p", [h(HighlightedText, { text, query: "lamp" })]) });
  expect(wrapper.element.textContent).toBe(text);
  expect(wrapper.findAll("mark").map((mark) => mark.text())).toEqual(["lamp", "lamp"]);
  expect(wrapper.find("b").exists()).toBe(false);
});
