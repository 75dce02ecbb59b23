import { expect, test, vi } from "vitest";
import { ApiError } from "@/api/errors";
import { MOST_BYTES, refusal } from "@/library/accepted";
import type { Sending, Sent } from "@/library/sendFile";
import { createUploads, MOST_UPLOADS, type UploadState } from "@/library/uploads";

const text = (name: string) => new File(["words"], name, { type: "text/plain" });

/** A way on which each file waits for the test. */
function way() {
  const sent: (Sending & { arrive: (sent: Sent) => void; break: (error: unknown) => void })[] = [];
  const send = (sending: Sending) =>
    new Promise<Sent>((resolve, reject) => {
      sending.signal.addEventListener("abort", () => reject(sending.signal.reason as Error));
      sent.push({ ...sending, arrive: resolve, break: reject });
    });
  const uploads = createUploads(send);
  const kinds = () => uploads.list.value.map((upload) => upload.state.kind);
  const id = (index: number) => uploads.list.value[index]?.id ?? 0;
  const state = (index: number) => uploads.list.value[index]?.state as UploadState;
  return { sent, uploads, kinds, id, state };
}

const stored = (novel_id: string): Sent => ({ novel_id, status: "INGESTION_STATUS_PENDING" });
const settle = () => vi.waitFor(() => undefined);

test("files go one after the other, each from waiting to stored", async () => {
  const { sent, uploads, kinds, state } = way();
  uploads.add([text("one.txt"), text("two.txt")]);
  expect(kinds()).toEqual(["sending", "waiting"]);
  expect(uploads.busy.value).toBe(true);
  sent[0]?.onProgress(1, 4);
  expect(state(0)).toEqual({ kind: "sending", percent: 25 });
  sent[0]?.onProgress(4, 4);
  expect(kinds()).toEqual(["checking", "waiting"]);
  sent[0]?.arrive(stored("n1"));
  await vi.waitFor(() => expect(kinds()).toEqual(["stored", "sending"]));
  expect(state(0)).toEqual({ kind: "stored", novelId: "n1" });
  sent[1]?.arrive(stored("n2"));
  await vi.waitFor(() => expect(kinds()).toEqual(["stored", "stored"]));
  expect(uploads.busy.value).toBe(false);
});

test("what cannot become a novel is told and not sent", () => {
  const { sent, uploads, state } = way();
  uploads.add([new File(["x"], "cat.png", { type: "image/png" }), new File([], "empty.txt")]);
  expect([state(0), state(1)]).toEqual([
    { kind: "refused", why: "kind" },
    { kind: "refused", why: "empty" },
  ]);
  expect(sent).toHaveLength(0);
  const file = { name: "A.EPUB", type: "", size: MOST_BYTES };
  expect(refusal(file)).toBeUndefined();
  expect(refusal({ ...file, size: MOST_BYTES + 1 })).toBe("size");
  expect(refusal({ name: "notes", type: "text/markdown", size: 3 })).toBeUndefined();
});

test("a failed one is tried again as the same request, and does not hold up the others", async () => {
  const { sent, uploads, kinds, id } = way();
  uploads.add([text("one.txt"), text("two.txt")]);
  sent[0]?.break(ApiError.unreachable("cut"));
  await vi.waitFor(() => expect(kinds()).toEqual(["failed", "sending"]));
  uploads.retry(id(0));
  expect(kinds()).toEqual(["waiting", "sending"]);
  sent[1]?.arrive(stored("n2"));
  await vi.waitFor(() => expect(kinds()).toEqual(["sending", "stored"]));
  expect(sent[2]?.requestId).toBe(sent[0]?.requestId);
  expect(sent[2]?.requestId).not.toBe(sent[1]?.requestId);
});

test("one that is dropped is stopped, and the next one goes", async () => {
  const { sent, uploads, kinds, id } = way();
  uploads.add([text("one.txt"), text("two.txt"), text("three.txt")]);
  uploads.drop(id(1));
  uploads.drop(id(0));
  await vi.waitFor(() => expect(kinds()).toEqual(["sending"]));
  expect(sent[0]?.signal.aborted).toBe(true);
  expect(sent[1]?.file.name).toBe("three.txt");
  sent[0]?.onProgress(1, 2);
  await settle();
  expect(kinds()).toEqual(["sending"]);
});

test("there is room for so many, and another reader finds none of them", async () => {
  const { sent, uploads } = way();
  const left = uploads.add(Array.from({ length: MOST_UPLOADS + 3 }, (_, index) => text(`${index}.txt`)));
  expect(left).toBe(3);
  expect(uploads.list.value).toHaveLength(MOST_UPLOADS);
  uploads.clear();
  await settle();
  expect(uploads.list.value).toHaveLength(0);
  expect(sent).toHaveLength(1);
  expect(sent[0]?.signal.aborted).toBe(true);
});
