// A reply's log as the server keeps it, with its epochs, what readers are told who have seen what does not count, and
// what is told when it is no longer kept (docs/decisions/0006-the-stream-log.md).
import { frame } from "./simulation";

interface Entry {
  epoch: number;
  sequence: number;
  name: string;
  data: unknown;
}

const ID = "0123456789abcdef0123456789abcdef";

export class Log {
  #entries: Entry[] = [];
  #epoch = 1;
  #gone = false;

  /** The text that its entries make. */
  get text(): string {
    return textOf(this.#entries);
  }

  get ended(): boolean {
    return ["complete", "stopped"].includes(this.#entries.at(-1)?.name ?? "");
  }

  write(name: string, data: unknown): void {
    if (this.ended) return;
    this.#entries.push({ epoch: this.#epoch, sequence: this.#entries.length + 1, name, data });
  }

  /**
   * Its writer dies with the last entries; the next one goes on, perhaps from an earlier place in the text. A seam of a
   * log is not lost again: that would take two writers that die within some milliseconds.
   */
  takeOver(lost: number, back: number): void {
    if (this.ended) return;
    const seam = this.#entries.findLastIndex(({ name }) => name === "seam") + 1;
    this.#entries.length = Math.max(seam, this.#entries.length - lost);
    this.#epoch += 1;
    const points = Array.from(this.text).length;
    if (back) this.write("seam", { keep: Math.max(0, points - back) });
  }

  end(name: "complete" | "stopped"): void {
    this.write(name, { message_id: "01234567-89ab-cdef-0123-456789abcdef", content: this.text });
  }

  /** The store alone has it now. */
  forget(): void {
    this.#gone = this.ended;
  }

  /** The log is there again: it was Redis that was away. */
  recall(): void {
    this.#gone = false;
  }

  /** What a reader behind a cursor hears of what there is. */
  after(cursor: string | null): string[] {
    const [, epoch = 0, sequence = 0] = (cursor ?? "").split(".").map(Number);
    return this.#gone ? this.#stored(!!cursor, epoch, sequence) : this.#kept(epoch, sequence);
  }

  #kept(epoch: number, at: number): string[] {
    const stand = this.#stand(at, epoch);
    const told: string[] = [];
    if (stand < at) {
      const last = this.#entries[stand - 1];
      if (last) told.push(frame("seam", { keep: points(textOf(this.#entries.slice(0, stand))) }, cursorOf(last)));
      else told.push(frame("gap", { first_sequence: "1", last_sequence: String(at) }), frame("seam", { keep: 0 }));
    }
    return [...told, ...this.#entries.slice(stand).map((entry) => frame(entry.name, entry.data, cursorOf(entry)))];
  }

  #stand(at: number, epoch: number): number {
    if (at <= this.#entries.length && (at === 0 || this.#entries[at - 1]?.epoch === epoch)) return at;
    if (epoch > this.#epoch) return 0;
    const stand = Math.min(at, this.#entries.filter((entry) => entry.epoch <= epoch).length);
    return this.ended && stand === this.#entries.length ? stand - 1 : stand;
  }

  #stored(resumed: boolean, epoch: number, sequence: number): string[] {
    const end = this.#entries.at(-1);
    if (!end || (resumed && (epoch > end.epoch || (epoch === end.epoch && sequence >= end.sequence)))) return [];
    return [
      resumed
        ? frame("gap", { first_sequence: String(sequence + 1), last_sequence: String(end.sequence) })
        : frame("progress", { progress: 100, stage: "writing", message: "" }),
      frame("seam", { keep: 0 }),
      frame("token", { content: this.text }),
      frame(end.name, end.data, cursorOf(end)),
    ];
  }
}

function cursorOf({ epoch, sequence }: Entry): string {
  return `${ID}.${epoch}.${sequence}`;
}

function textOf(entries: readonly Entry[]): string {
  let text: string[] = [];
  for (const { name, data } of entries) {
    if (name === "token") text.push(...(data as { content: string }).content);
    else if (name === "seam") text = text.slice(0, (data as { keep: number }).keep);
  }
  return text.join("");
}

function points(text: string): number {
  return Array.from(text).length;
}
