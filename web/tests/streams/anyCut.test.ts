// @vitest-environment node
// Whatever is cut, and whatever the server's log goes through: in the end the reader holds the stored text.
import fc from "fast-check";
import { expect, test } from "vitest";
import { EventStream, type StreamEvent } from "@/streams/eventStream";
import { ReplyText } from "@/streams/replyText";
import { Log } from "./log";
import { refusal, Simulation, stream } from "./simulation";

type Step =
  | { do: "progress" }
  | { do: "token"; content: string }
  | { do: "takeOver"; lost: number; back: number }
  | { do: "cut"; bytes: number; clean: boolean }
  | { do: "refuse"; status: number }
  | { do: "forget" }
  | { do: "recall" };

const words = fc.oneof(
  fc.string({ maxLength: 6 }),
  fc.string({ unit: "grapheme", maxLength: 4 }),
  fc.constantFrom("가지", "🌿", "\n\n"),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Step>({ do: "progress" }) },
  { weight: 6, arbitrary: words.map((content): Step => ({ do: "token", content })) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("takeOver" as const), lost: fc.nat(4), back: fc.nat(5) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("cut" as const), bytes: fc.nat(700), clean: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constantFrom(401, 429, 503, 500).map((status): Step => ({ do: "refuse", status })) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: "forget" }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: "recall" }) },
);

/** Bytes in pieces of such sizes, over and over. */
function pieces(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? bytes.length;
    parts.push(bytes.slice(at, at + size));
    at += size;
  }
  return parts;
}

test("any cut gives the exact text, and each event once", async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), sizes, fc.boolean(), async (steps, parts, stops) => {
      const log = new Log();
      const script = [...steps];
      const heard: StreamEvent[] = [];
      const text = new ReplyText();
      let before = "";

      const simulation = new Simulation(({ lastEventId }) => {
        for (let next = script.shift(); next; next = script.shift()) {
          if (next.do === "progress") log.write("progress", { progress: 20 });
          else if (next.do === "token") log.write("token", { content: next.content });
          else if (next.do === "takeOver") log.takeOver(next.lost, next.back);
          else if (next.do === "forget") {
            // A reply that ends while nobody hears, and is forgotten before anybody is back.
            log.end("complete");
            log.forget();
          } else if (next.do === "recall") log.recall();
          else if (next.do === "refuse") return refusal(next.status, "BUSY");
          else {
            const bytes = new TextEncoder().encode(`retry: 2000\n\n${log.after(lastEventId).join("")}`);
            return stream(pieces(bytes.slice(0, next.bytes), parts), { error: !next.clean });
          }
        }
        log.end(stops ? "stopped" : "complete");
        const rest = log.after(lastEventId).join("");
        return stream(pieces(new TextEncoder().encode(rest), parts));
      });

      const reader = new EventStream(
        {
          source: () => ({ path: "/events" }),
          hear(event) {
            heard.push(event);
            // The end tells the whole; what was heard until then is to be the same.
            before = text.text;
            text.take(event);
          },
        },
        simulation,
      );
      reader.start();
      await simulation.until(() => ["ended", "failed"].includes(reader.state));

      // Two refusals for want of a session, one after the other, are one too many.
      if (reader.state === "failed") {
        expect(simulation.renewals).toBeGreaterThan(0);
        reader.start();
        await simulation.until(() => reader.state === "ended");
      }
      expect(text.text).toBe(log.text);
      expect(before).toBe(log.text);
      // A seam that puts a reader right stands behind an event that he has had.
      const ids = heard.filter(({ id, name }) => id && name !== "seam").map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(heard.filter(({ name }) => name === "complete" || name === "stopped")).toHaveLength(1);
      expect(simulation.left).toBe(0);
    }),
    { numRuns: 150 },
  );
});
