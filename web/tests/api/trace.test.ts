import { expect, test } from "vitest";
import { newTrace } from "@/api/trace";

test("the requests of a trace share its id, and each has one of its own", () => {
  const [one, other] = [newTrace(), newTrace()];
  const headers = [one(), one(), other()];
  expect(headers.every((header) => /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/.test(header))).toBe(true);
  const [traces, spans] = [1, 2].map((part) => headers.map((header) => header.split("-")[part]));
  expect(traces?.[0]).toBe(traces?.[1]);
  expect(traces?.[0]).not.toBe(traces?.[2]);
  expect(new Set(spans).size).toBe(3);
});
