// A component on a page of its own, with the words it needs.
import { mount } from "@vue/test-utils";
import { afterEach } from "vitest";
import { createI18n } from "vue-i18n";
import type { Component } from "vue";
import * as chat from "@/chat/messages";
import * as components from "@/components/messages";

const parts = { chat, components };
const words = (language: "en" | "ko") =>
  Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, part[language]]));

const open: { unmount(): void }[] = [];
afterEach(() => {
  for (const wrapper of open.splice(0)) wrapper.unmount();
});

export function mounted(component: Component, props: Record<string, unknown>, language: "en" | "ko" = "en") {
  const i18n = createI18n({ legacy: false, locale: language, messages: { en: words("en"), ko: words("ko") } });
  const wrapper = mount(component, { props, global: { plugins: [i18n] }, attachTo: document.body });
  open.push(wrapper);
  return wrapper;
}
