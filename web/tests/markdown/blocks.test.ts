// @vitest-environment node
import fc from "fast-check";
import { expect, test } from "vitest";
import { BlockReader } from "@/markdown/blocks";
import { bits } from "./soup";

/** Blocks without the text that they are made of, whose last line ends may differ. */
function meaning(blocks: unknown): unknown {
  return JSON.parse(JSON.stringify(blocks, (key, value: unknown) => (key === "raw" ? undefined : value)));
}

test("read as it grows it is what it is when read at once", () => {
  fc.assert(
    fc.property(fc.array(bits, { maxLength: 30 }), (parts) => {
      const growing = new BlockReader();
      let text = "";
      for (const part of parts) growing.read((text += part));
      expect(meaning(growing.read(text))).toEqual(meaning(new BlockReader().read(text)));
    }),
    { numRuns: 300 },
  );
});

test("blocks that stand are the same objects", () => {
  const reader = new BlockReader();
  const before = reader.read("# One\n\nTwo *three*\n\n- fo");
  const after = reader.read("# One\n\nTwo *three*\n\n- four\n- five");
  expect(after.map(({ type }) => type)).toEqual(["heading", "paragraph", "list"]);
  expect(after[0]).toBe(before[0]);
  expect(after[1]).toBe(before[1]);
  expect(after[2]).not.toBe(before[2]);
});

test("a text that goes on from an earlier place is read anew", () => {
  const reader = new BlockReader();
  reader.read("One.\n\nTwo.\n\nThree");
  expect(reader.read("One.\n\nFour")).toEqual(new BlockReader().read("One.\n\nFour"));
  expect(reader.read("")).toEqual([]);
});

test("what nests too deep, or is too long, is shown as it is", () => {
  const nested = Array.from({ length: 200 }, (_, depth) => `${" ".repeat(2 * depth)}- a`).join("\n");
  for (const text of [">".repeat(20_000), "1. ".repeat(9000), nested, `${"*".repeat(60_000)}a`]) {
    const [block, ...others] = new BlockReader().read(text);
    expect(others).toEqual([]);
    expect(block?.raw).toBe(text);
  }
});

test("a long paragraph is read again now and then, and whole in the end", () => {
  const reader = new BlockReader();
  const words = "It is a *truth* universally acknowledged. ";
  let text = words.repeat(60);
  const first = reader.read(text, true);
  text += "**An";
  const [longer] = reader.read(text, true);
  expect(longer?.raw).toBe(first[0]?.raw);
  expect(JSON.stringify(longer)).toContain("**An");
  text += "d** so on";
  expect(JSON.stringify(reader.read(text, true))).toContain("acknowledged. **And** so on");
  expect(reader.read(text, false)).toEqual(new BlockReader().read(text));
  for (let turn = 0; turn < 10; turn += 1) reader.read((text += words), true);
  expect(JSON.stringify(reader.read(text, true))).toContain('"strong"');
  expect(reader.read((text += "\n\nEnd"), true)).toEqual(new BlockReader().read(text));
});
