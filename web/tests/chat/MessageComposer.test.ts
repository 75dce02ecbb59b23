// @vitest-environment happy-dom
import { flushPromises } from "@vue/test-utils";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError } from "@/api/errors";
import MessageComposer from "@/chat/MessageComposer.vue";
import { mounted } from "./mounted";

const DRAFT = "gaji.draft.c1";
let coarse = false;

beforeEach(() => {
  sessionStorage.clear();
  coarse = false;
  vi.spyOn(globalThis, "matchMedia").mockImplementation(
    (query) => ({ matches: coarse && query.includes("coarse") }) as MediaQueryList,
  );
});

function composer(
  given: {
    onItsWay?: string;
    busy?: boolean;
    send?: (content: string) => Promise<void>;
    stop?: () => Promise<void>;
  } = {},
) {
  const send = vi.fn(given.send ?? (() => Promise.resolve()));
  const stop = vi.fn(given.stop ?? (() => Promise.resolve()));
  const props = {
    conversationId: "c1",
    name: "Emma",
    onItsWay: given.onItsWay ?? "",
    sent: "",
    busy: given.busy ?? false,
    send,
    stop,
  };
  const wrapper = mounted(MessageComposer, props);
  const box = wrapper.get("textarea");
  return { wrapper, box, send, stop, text: () => box.element.value };
}

describe("Enter", () => {
  test("sends what is written, and the box is empty then", async () => {
    const { box, send, text } = composer();
    await box.setValue("  Why did you refuse him?\n");
    await box.trigger("keydown", { key: "Enter" });
    await flushPromises();
    expect(send.mock.calls).toEqual([["Why did you refuse him?"]]);
    expect(text()).toBe("");
    expect(document.activeElement).toBe(box.element);
  });

  test("with Shift it begins a line", async () => {
    const { box, send } = composer();
    await box.setValue("One line");
    await box.trigger("keydown", { key: "Enter", shiftKey: true });
    expect(send).not.toHaveBeenCalled();
  });

  test("while a syllable is put together it ends that alone", async () => {
    const { box, send } = composer();
    await box.setValue("안녕하세요");
    await box.trigger("keydown", { key: "Enter", isComposing: true });
    await box.trigger("keydown", { key: "Enter", keyCode: 229 }); // Safari's, after the end of the syllable
    expect(send).not.toHaveBeenCalled();
    await box.trigger("keydown", { key: "Enter" });
    expect(send.mock.calls).toEqual([["안녕하세요"]]);
  });

  test("on a touch screen it begins a line, and the button sends", async () => {
    coarse = true;
    const { wrapper, box, send } = composer();
    await box.setValue("Hello");
    await box.trigger("keydown", { key: "Enter" });
    expect(send).not.toHaveBeenCalled();
    await wrapper.get("form").trigger("submit");
    expect(send).toHaveBeenCalledOnce();
  });

  test("sends nothing but once, nothing empty, and nothing while a reply is written", async () => {
    const { wrapper, box, send, text } = composer({ send: () => new Promise<void>(() => undefined) });
    await box.setValue(" \n ");
    await box.trigger("keydown", { key: "Enter" });
    expect(send).not.toHaveBeenCalled();
    await wrapper.setProps({ busy: true });
    await box.setValue("Wait for me");
    await box.trigger("keydown", { key: "Enter" });
    expect(send).not.toHaveBeenCalled();
    expect(text()).toBe("Wait for me");
    await wrapper.setProps({ busy: false });
    await box.trigger("keydown", { key: "Enter" });
    await box.trigger("keydown", { key: "Enter" });
    expect(send).toHaveBeenCalledOnce();
  });
});

test("a message that is refused stays in the box, with the reason, and can be sent again", async () => {
  const refusal = new ApiError(503, { code: "UNAVAILABLE", reason: "X", message: "busy, come back", fields: {} });
  const { wrapper, box, send, text } = composer({
    send: vi.fn().mockRejectedValueOnce(refusal).mockResolvedValue(undefined),
  });
  await box.setValue("Do not lose me");
  await box.trigger("keydown", { key: "Enter" });
  await flushPromises();
  expect(text()).toBe("Do not lose me");
  expect(sessionStorage.getItem(DRAFT)).toBe("Do not lose me");
  expect(wrapper.get('[role="alert"]').text()).toContain("busy, come back");
  await wrapper.get('[role="alert"] button').trigger("click");
  await flushPromises();
  expect(send).toHaveBeenCalledTimes(2);
  expect(text()).toBe("");
  expect(wrapper.find('[role="alert"]').exists()).toBe(false);
});

test("what is not sent yet outlives a reload, for each conversation by itself", async () => {
  const first = composer();
  await first.box.setValue("Half a thou");
  first.wrapper.unmount();
  expect(composer().text()).toBe("Half a thou");
  const other = mounted(MessageComposer, {
    conversationId: "c2",
    name: "Emma",
    onItsWay: "",
    sent: "",
    busy: false,
    send: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  });
  expect(other.get("textarea").element.value).toBe("");
});

test("near the limit it says how much is left, and beyond it sends nothing", async () => {
  const { box, wrapper, send } = composer();
  await box.setValue("a".repeat(7_000));
  expect(wrapper.text()).not.toContain("left");
  await box.setValue("가".repeat(7_600));
  expect(wrapper.text()).toContain("400 characters left");
  await box.setValue("🌿".repeat(8_000)); // as many code points, twice as many units
  expect(wrapper.text()).toContain("0 characters left");
  await box.setValue("a".repeat(8_003));
  expect(wrapper.text()).toContain("3 characters too many");
  expect(box.attributes("aria-invalid")).toBe("true");
  await box.trigger("keydown", { key: "Enter" });
  expect(send).not.toHaveBeenCalled();
});

test("Stop stops, and gives the keyboard back to the box when it goes", async () => {
  const { wrapper, box, stop } = composer({ busy: true });
  const button = wrapper.get<HTMLButtonElement>('button[aria-label="Stop"]');
  button.element.focus();
  await button.trigger("click");
  await flushPromises();
  expect(stop).toHaveBeenCalledOnce();
  await wrapper.setProps({ busy: false });
  expect(document.activeElement).toBe(box.element);
});

test("a message that was on its way when the page was left leaves the box once it is known to be taken", async () => {
  sessionStorage.setItem(DRAFT, "On my way");
  const { wrapper, text } = composer({ onItsWay: "On my way" });
  await wrapper.setProps({ sent: "Something earlier" });
  expect(text()).toBe("On my way");
  await wrapper.setProps({ sent: "On my way" });
  expect(text()).toBe("");
});

test("what the reader stopped before it began is no error, and stays in the box", async () => {
  const { wrapper, box, text } = composer({ send: () => Promise.reject(new DOMException("stopped", "AbortError")) });
  await box.setValue("Never mind");
  await box.trigger("keydown", { key: "Enter" });
  await flushPromises();
  expect(text()).toBe("Never mind");
  expect(wrapper.find('[role="alert"]').exists()).toBe(false);
});
