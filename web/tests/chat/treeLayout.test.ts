import fc from "fast-check";
import { expect, test } from "vitest";
import { layOut, nodeAfter, type TreeNode } from "@/chat/treeLayout";

/** Trees, and now and then several: the n-th node hangs on one of those before it, or begins a conversation. */
const trees = fc.array(fc.nat(), { maxLength: 60 }).map((draws) =>
  draws.map((draw, index): TreeNode => {
    const parent = draw % (index + 1);
    return { message_id: `n${index}`, parent_id: parent === index ? "" : `n${parent}` };
  }),
);

const node = (id: string, parent = ""): TreeNode => ({ message_id: id, parent_id: parent });
const lanes = (nodes: TreeNode[]) =>
  Object.fromEntries(layOut(nodes).places.map((place) => [place.id, [place.lane, place.depth]]));

test("a conversation without branches is one lane", () => {
  expect(lanes([node("a"), node("b", "a"), node("c", "b")])).toEqual({ a: [0, 0], b: [0, 1], c: [0, 2] });
});

test("a branch stands beside what the older one holds, and no further off than it must", () => {
  // a - b - c - d
  //  \ e (beside b)     b \ f (beside c)
  const nodes = [node("a"), node("b", "a"), node("c", "b"), node("d", "c"), node("e", "a"), node("f", "b")];
  expect(lanes(nodes)).toEqual({ a: [0, 0], b: [0, 1], c: [0, 2], d: [0, 3], f: [1, 2], e: [1, 1] });
  // With something on e, that must clear f.
  expect(lanes([...nodes, node("g", "e")])).toMatchObject({ f: [1, 2], e: [2, 1], g: [2, 2] });
});

test("openings that were made anew stand beside each other", () => {
  expect(lanes([node("a"), node("b"), node("c", "b")])).toEqual({ a: [0, 0], b: [1, 0], c: [1, 1] });
});

test("nodes never meet, stand under their parents, and their twigs do not cross", () => {
  fc.assert(
    fc.property(trees, (nodes) => {
      const layout = layOut(nodes);
      expect(layout.places.map((place) => place.id).sort()).toEqual(nodes.map((one) => one.message_id).sort());
      const taken = new Set(layout.places.map((place) => `${place.lane}/${place.depth}`));
      expect(taken.size).toBe(nodes.length);
      for (const place of layout.places) {
        expect(place.lane).toBeGreaterThanOrEqual(0);
        expect(place.lane).toBeLessThan(layout.lanes);
        expect(place.depth).toBeLessThan(layout.depths);
        const parent = layout.byId.get(place.parentId);
        expect(place.depth).toBe(parent ? parent.depth + 1 : 0);
        place.children.forEach((child, index) => {
          const lane = layout.byId.get(child)?.lane ?? -1;
          if (index === 0) expect(lane).toBe(place.lane);
          else expect(lane).toBeGreaterThan(layout.byId.get(place.children[index - 1] ?? "")?.lane ?? 0);
        });
      }
      // Twigs between two depths, from left to right above, come in from left to right below.
      const twigs = layout.places.filter((place) => place.parentId);
      for (const one of twigs)
        for (const other of twigs) {
          const [from, to] = [layout.byId.get(one.parentId), layout.byId.get(other.parentId)];
          if (from && to && one.depth === other.depth && from.lane < to.lane) expect(one.lane).toBeLessThan(other.lane);
        }
    }),
  );
});

test("five thousand messages in a row, and as many beside each other", () => {
  const row = Array.from({ length: 5000 }, (_, index) => node(`n${index}`, index ? `n${index - 1}` : ""));
  expect(layOut(row)).toMatchObject({ lanes: 1, depths: 5000 });
  const fan = Array.from({ length: 5000 }, (_, index) => node(`n${index}`, index ? "n0" : ""));
  expect(layOut(fan)).toMatchObject({ lanes: 4999, depths: 2 });
});

test("what hangs on nothing that is there begins a conversation; a ring is left out", () => {
  expect(lanes([node("a", "gone"), node("x", "y"), node("y", "x"), node("z", "z")])).toEqual({
    a: [0, 0],
    z: [1, 0],
  });
});

test("arrow keys follow the drawing", () => {
  const layout = layOut([node("a"), node("b", "a"), node("c", "b"), node("d", "a"), node("e", "d")]);
  const go = (id: string, key: string, chosen: string[] = []) =>
    nodeAfter(layout, id, key, (one) => chosen.includes(one));
  expect(go("a", "ArrowDown")).toBe("b");
  expect(go("a", "ArrowDown", ["a", "d", "e"])).toBe("d");
  expect(go("b", "ArrowRight")).toBe("d");
  expect(go("e", "ArrowLeft")).toBe("c");
  expect(go("e", "ArrowUp")).toBe("d");
  expect(go("a", "ArrowUp")).toBeUndefined();
  expect(go("c", "ArrowDown")).toBeUndefined();
  expect(go("c", "Home")).toBe("a");
  expect(go("a", "End", ["a", "d", "e"])).toBe("e");
  expect(go("e", "End")).toBeUndefined();
  expect(go("a", "x")).toBeUndefined();
  expect(go("gone", "ArrowUp")).toBeUndefined();
});

test("every message can be reached by keys", () => {
  fc.assert(
    fc.property(trees, (nodes) => {
      const layout = layOut(nodes);
      const found = new Set<string>();
      const waiting = layout.places.slice(0, 1).map((place) => place.id);
      for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
        if (found.has(id)) continue;
        found.add(id);
        for (const key of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]) {
          const next = nodeAfter(layout, id, key, () => false);
          if (next !== undefined) waiting.push(next);
        }
      }
      expect(found.size).toBe(nodes.length);
    }),
  );
});
