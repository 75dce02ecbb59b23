// Files on their way to the shelf. They go on while the reader looks at other pages, one after the other.
import { computed, shallowRef, watch } from "vue";
import { newRequestId } from "@/api/browser";
import { ApiError } from "@/api/errors";
import { onReaderChange } from "@/api/session";
import { refusal, type Refusal } from "./accepted";
import { sendFile, type Sending, type Sent } from "./sendFile";

export type UploadState =
  | { kind: "waiting" }
  | { kind: "sending"; percent: number }
  /** All is sent; the service reads the file. */
  | { kind: "checking" }
  | { kind: "refused"; why: Refusal }
  | { kind: "failed"; error: ApiError }
  | { kind: "stored"; novelId: string };

export interface Upload {
  id: number;
  file: File;
  /** The same for every try: a file whose answer was lost is not stored twice. */
  requestId: string;
  onlyMine: boolean;
  state: UploadState;
}

/** How many are remembered at most; more files at once are left out. */
export const MOST_UPLOADS = 20;

type Send = (sending: Sending) => Promise<Sent>;

/** Makes a queue of files to be sent. */
export function createUploads(send: Send = sendFile) {
  const list = shallowRef<readonly Upload[]>([]);
  const running = new Map<number, AbortController>();
  let last = 0;

  function become(id: number, state: UploadState): void {
    list.value = list.value.map((upload) => (upload.id === id ? { ...upload, state } : upload));
  }

  /** Takes files, for their owner alone or for whoever the service is set to; returns how many there was no room for. */
  function add(files: readonly File[], onlyMine = false): number {
    const room = Math.max(0, MOST_UPLOADS - list.value.length);
    const added = files.slice(0, room).map((file): Upload => {
      const why = refusal(file);
      const state: UploadState = why ? { kind: "refused", why } : { kind: "waiting" };
      return { id: (last += 1), file, requestId: newRequestId(), onlyMine, state };
    });
    list.value = [...list.value, ...added];
    next();
    return files.length - added.length;
  }

  function next(): void {
    if (running.size) return;
    const waiting = list.value.find((upload) => upload.state.kind === "waiting");
    if (waiting) void run(waiting);
  }

  async function run({ id, file, requestId, onlyMine }: Upload): Promise<void> {
    const controller = new AbortController();
    running.set(id, controller);
    become(id, { kind: "sending", percent: 0 });
    try {
      const { novel_id } = await send({
        file,
        requestId,
        onlyMine,
        signal: controller.signal,
        onProgress: (sent, total) => {
          if (controller.signal.aborted) return;
          become(id, sent < total ? { kind: "sending", percent: (100 * sent) / total } : { kind: "checking" });
        },
      });
      become(id, { kind: "stored", novelId: novel_id });
    } catch (failure) {
      const error = failure instanceof ApiError ? failure : ApiError.unreachable(failure);
      if (!controller.signal.aborted) become(id, { kind: "failed", error });
    } finally {
      running.delete(id);
      next();
    }
  }

  /** Tries a failed one again. */
  function retry(id: number): void {
    if (list.value.some((upload) => upload.id === id && upload.state.kind === "failed"))
      become(id, { kind: "waiting" });
    next();
  }

  /** Takes one off the list, and stops it if it is on its way. */
  function drop(id: number): void {
    list.value = list.value.filter((upload) => upload.id !== id);
    running.get(id)?.abort();
  }

  /** Takes all off the list: they are another reader's. */
  function clear(): void {
    for (const { id } of list.value) drop(id);
  }

  /** Whether leaving the app would lose something. */
  const busy = computed(() => list.value.some(({ state }) => ["waiting", "sending", "checking"].includes(state.kind)));
  return { list, busy, add, retry, drop, clear };
}

/** The files of this tab. */
export const uploads = createUploads();
onReaderChange(uploads.clear);

// Files go on while the reader looks at other pages: the tab is not closed on one without a question.
const stay = (event: Event) => event.preventDefault();
watch(uploads.busy, (busy) => {
  if (busy) addEventListener("beforeunload", stay);
  else removeEventListener("beforeunload", stay);
});
