// @vitest-environment node
import fc from "fast-check";
import { isVNode, Text, type VNode } from "vue";
import { expect, test } from "vitest";
import { BlockReader } from "@/markdown/blocks";
import { block } from "@/markdown/render";
import { strange } from "./allowed";
import { markdown, nasty } from "./soup";

/** The elements of a tree, with their attributes. */
function elements(node: VNode): { name: string; attributes: Record<string, unknown> }[] {
  const own = node.type === Text ? [] : [{ name: String(node.type), attributes: node.props ?? {} }];
  const children: unknown[] = Array.isArray(node.children) ? node.children : [];
  return [...own, ...children.filter(isVNode).flatMap(elements)];
}

test("whatever is written, only what is on the list is made of it", () => {
  const soup = fc
    .array(fc.oneof(nasty, markdown, fc.string({ maxLength: 8 })), { maxLength: 8 })
    .map((all) => all.join(""));
  fc.assert(
    fc.property(soup, (text) => {
      for (const token of new BlockReader().read(text)) {
        for (const { name, attributes } of elements(block(token, false))) expect(strange(name, attributes)).toBe(false);
      }
    }),
    { numRuns: 400 },
  );
});
