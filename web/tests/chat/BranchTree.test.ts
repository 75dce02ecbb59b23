// @vitest-environment happy-dom
import { expect, test } from "vitest";
import type { ConversationNode } from "@/api/types";
import BranchTree from "@/chat/BranchTree.vue";
import { mounted } from "./mounted";

function node(id: string, parent: string, own: boolean, chosen: boolean): ConversationNode {
  return {
    message_id: id,
    parent_id: parent,
    role: own ? "MESSAGE_ROLE_READER" : "MESSAGE_ROLE_CHARACTER",
    status: "MESSAGE_STATUS_COMPLETE",
    excerpt: `text of ${id}`,
    created_at: "2031-05-01T10:00:00Z",
    chosen,
  };
}

// o - q - a - p
//          \ b (beside a, chosen)
const nodes = [
  node("o", "", false, true),
  node("q", "o", true, true),
  node("a", "q", false, false),
  node("p", "a", true, false),
  node("b", "q", false, true),
];

function tree(busy = false) {
  const wrapper = mounted(BranchTree, { nodes, head: "b", name: "Emma", busy });
  const focused = () => wrapper.findAll('[role="treeitem"]').filter((one) => one.attributes("tabindex") === "0");
  const press = (key: string) => wrapper.get("svg").trigger("keydown", { key });
  return { wrapper, press, at: () => focused().map((one) => one.attributes("data-id")) };
}

test("each message is an item with its words, level and place", () => {
  const { wrapper } = tree();
  const items = wrapper.findAll('[role="treeitem"]');
  expect(items).toHaveLength(5);
  const b = wrapper.get('[data-id="b"]');
  expect(b.attributes()).toMatchObject({
    "aria-label": "Emma: text of b",
    "aria-level": "3",
    "aria-posinset": "2",
    "aria-setsize": "2",
    "aria-selected": "true",
    "aria-current": "true",
  });
  expect(wrapper.get('[data-id="p"]').attributes()).toMatchObject({
    "aria-label": "You: text of p",
    "aria-selected": "false",
  });
});

test("arrow keys move along the branches from where the conversation stands, Enter goes there", async () => {
  const { wrapper, press, at } = tree();
  expect(at()).toEqual(["b"]);
  await press("ArrowLeft");
  expect(at()).toEqual(["a"]);
  expect(document.activeElement?.getAttribute("data-id")).toBe("a");
  expect(wrapper.text()).toContain("text of a");
  await press("ArrowDown");
  expect(at()).toEqual(["p"]);
  await press("Enter");
  expect(wrapper.emitted("choose")).toEqual([["p"]]);
});

test("a click goes to a message; while a reply is written nothing does, and it is said why", async () => {
  const { wrapper } = tree();
  await wrapper.get('[data-id="a"] .leaf').trigger("click");
  expect(wrapper.emitted("choose")).toEqual([["a"]]);
  const busy = tree(true);
  await busy.wrapper.get('[data-id="a"]').trigger("click");
  await busy.press("Enter");
  expect(busy.wrapper.emitted("choose")).toBeUndefined();
  expect(busy.wrapper.text()).toContain("Wait for the end of the reply");
});

test("the keyboard's place outlives what is added, and goes to the head when its message is gone", async () => {
  const { wrapper, press, at } = tree();
  await press("ArrowLeft");
  await wrapper.setProps({ nodes: [...nodes, node("c", "b", true, true)] });
  expect(at()).toEqual(["a"]);
  await wrapper.setProps({ nodes: nodes.filter((one) => one.message_id !== "a" && one.message_id !== "p") });
  expect(at()).toEqual(["b"]);
});
