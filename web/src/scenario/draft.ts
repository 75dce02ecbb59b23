// What is being written survives a reload. It lasts as long as the tab, and is the tab's own.
import { LONGEST_TEXT, LONGEST_TITLE, MOST_PINS, type LimitKind, type Pin, type ScenarioForm } from "./form";

const LIMITS: readonly LimitKind[] = ["none", "chapter", "read"];

export interface Draft {
  read(): ScenarioForm | undefined;
  write(form: ScenarioForm): void;
  clear(): void;
}

/** The draft of a scenario that is changed (`key`: its id), or of a novel's new one (the novel's). */
export function draftOf(key: string, storage: Storage = sessionStorage): Draft {
  const name = `gaji.scenario.${key}`;
  return {
    read: () => parsed(storage.getItem(name)),
    write(form) {
      try {
        storage.setItem(name, JSON.stringify(form));
      } catch {
        // No room, or storage is forbidden: the draft lasts as long as the page.
      }
    },
    clear: () => storage.removeItem(name),
  };
}

function isPin(value: unknown): value is Pin {
  const pin = value as Partial<Pin> | null;
  return typeof pin?.id === "string" && typeof pin.content === "string" && typeof pin.chapter === "number";
}

/** A draft that was written, perhaps by another release; undefined: there is none that can be read. */
export function parsed(text: string | null): ScenarioForm | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text ?? "null");
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { title, description, limit, chapter, pins, public: shown } = value as Record<string, unknown>;
  if (typeof title !== "string" || typeof description !== "string") return undefined;
  return {
    title: title.slice(0, LONGEST_TITLE),
    description: description.slice(0, LONGEST_TEXT),
    limit: LIMITS.find((one) => one === limit) ?? "none",
    chapter: Number.isInteger(chapter) && (chapter as number) >= 0 ? (chapter as number) : 1,
    pins: Array.isArray(pins)
      ? pins
          .filter(isPin)
          .slice(0, MOST_PINS)
          .map((pin) => ({ ...pin, chapter_title: String(pin.chapter_title ?? "") }))
      : [],
    public: shown === true,
  };
}
