// @vitest-environment node
import fc from "fast-check";
import { expect, test } from "vitest";
import { head, ReplyText } from "@/streams/replyText";

function event(name: string, data: unknown, id = "", connection = 1) {
  return { name, data, id, connection };
}

const token = (content: string, id = "", connection = 1) => event("token", { content }, id, connection);

test("the first code points of a text are what a language with code points takes", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.nat(40), (text, points) => {
      expect(head(text, points)).toBe(Array.from(text).slice(0, points).join(""));
    }),
  );
});

test("tokens append, a seam keeps code points, the end tells the whole", () => {
  const text = new ReplyText();
  text.take(token("🌿가지 grows", "a.1"));
  expect(text.take(event("seam", { keep: 3 }, "a.2"))).toBe(true);
  expect(text.text).toBe("🌿가지");
  expect(text.take(event("progress", { progress: 50 }, "a.3"))).toBe(false);
  text.take(event("gap", { first_sequence: "1", last_sequence: "9" }));
  expect(text.text).toBe("🌿가지");
  text.take(event("stopped", { content: "🌿" }, "a.4"));
  expect(text.text).toBe("🌿");
});

test("what came without an id is dropped when another connection goes on from the last id", () => {
  const text = new ReplyText();
  text.take(token("kept", "a.1"));
  text.take(event("seam", { keep: 0 }));
  text.take(token("the whole stored text"));
  text.take(token(" and more", "a.2", 2));
  expect(text.text).toBe("kept and more");
});

test("a stream from the start begins with nothing", () => {
  const text = new ReplyText();
  text.take(token("lost"));
  text.take(token("whole", "a.1", 2));
  expect(text.text).toBe("whole");
});
