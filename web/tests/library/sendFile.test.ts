import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ApiError } from "@/api/errors";
import { sendFile } from "@/library/sendFile";
import { FakeRequest, newRequest } from "./fakeRequest";

const file = new File(["It was a dark night."], "night & day.txt", { type: "text/plain" });
const renew = vi.fn(() => Promise.resolve());
const outside = { request: newRequest, renew };
const stored = { novel_id: "n1", status: "INGESTION_STATUS_PENDING" };

beforeEach(() => {
  FakeRequest.made = [];
  renew.mockClear();
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

function sending(controller = new AbortController()) {
  const heard: [number, number][] = [];
  const promise = sendFile(
    { file, requestId: "r1", onlyMine: false, signal: controller.signal, onProgress: (...now) => heard.push(now) },
    outside,
  );
  return { promise, heard, controller };
}

const request = (index = 0) => FakeRequest.made[index] as FakeRequest;

test("the file goes as it is, under its name, and tells how far it is", async () => {
  const { promise, heard } = sending();
  expect(request().url).toBe("/api/novels:upload?file_name=night+%26+day.txt&request_id=r1");
  expect(request().headers.get("content-type")).toBe("text/plain");
  expect(request().body).toBe(file);
  request().upload.onprogress?.({ loaded: 5, total: 20 });
  request().upload.onprogress?.({ loaded: 20, total: 20 });
  request().answer(202, stored);
  await expect(promise).resolves.toEqual(stored);
  expect(heard).toEqual([
    [5, 20],
    [20, 20],
  ]);
  expect(vi.getTimerCount()).toBe(0);
});

test("it is its owner's alone where that is wanted", async () => {
  void sendFile(
    { file, requestId: "r1", onlyMine: true, signal: new AbortController().signal, onProgress: () => undefined },
    outside,
  );
  expect(request().url).toContain("&visibility=VISIBILITY_PRIVATE");
});

test("an expired session is renewed once, and the same request is sent again", async () => {
  const { promise } = sending();
  request().answer(401, { error: { reason: "TOKEN_EXPIRED" } });
  await vi.waitFor(() => expect(FakeRequest.made).toHaveLength(2));
  expect(request(1).url).toBe(request().url);
  request(1).answer(401, {
    error: { code: "UNAUTHENTICATED", reason: "TOKEN_EXPIRED", message: "sign in", fields: {} },
  });
  await expect(promise).rejects.toMatchObject({ status: 401, reason: "TOKEN_EXPIRED" });
  expect(renew).toHaveBeenCalledTimes(1);
});

test("what is refused says why, by field, and when to come back", async () => {
  const { promise } = sending();
  const fields = { file: "has no text; give one that has" };
  const error = { code: "INVALID_ARGUMENT", reason: "UNREADABLE_FILE", message: "file has no text", fields };
  request().answer(429, { error }, { "retry-after": "7" });
  await expect(promise).rejects.toMatchObject({ reason: "UNREADABLE_FILE", fields, retryAfter: 7 });
});

test("a proxy's page is no answer of the gateway's, and is told by its status", async () => {
  const { promise } = sending();
  request().status = 413;
  request().responseText = "<html>too large</html>";
  request().onload?.();
  await expect(promise).rejects.toMatchObject({ status: 413, reason: "HTTP_413" });
});

test("a network that is away is told as such", async () => {
  const { promise } = sending();
  request().onerror?.();
  await expect(promise).rejects.toMatchObject({ status: 0, retryable: true });
});

test("a way on which nothing moves is given up", async () => {
  const { promise } = sending();
  const refused = expect(promise).rejects.toBeInstanceOf(ApiError);
  await vi.advanceTimersByTimeAsync(29_000);
  request().upload.onprogress?.({ loaded: 5, total: 20 });
  await vi.advanceTimersByTimeAsync(29_000);
  expect(request().aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(2_000);
  await refused;
  expect(request().aborted).toBe(true);
});

test("whoever stops it ends the request", async () => {
  const { promise, controller } = sending();
  controller.abort();
  await expect(promise).rejects.toMatchObject({ name: "AbortError" });
  expect(request().aborted).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});
