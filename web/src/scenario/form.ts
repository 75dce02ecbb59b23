// A scenario as it is being written, and what of it is sent.
import { defined } from "@/api/defined";
import type { components, paths } from "@/api/schema";
import type { Passage, Scenario } from "@/api/types";

export const MOST_PINS = 20;
export const LONGEST_TITLE = 200;
export const LONGEST_TEXT = 4_000;

/** A passage that the scenario is built on, with what is needed to show it. */
export type Pin = Pick<Passage, "id" | "content" | "chapter" | "chapter_title">;

/** Up to where characters may tell: everything, up to a chapter, or as far as each reader has read. */
export type LimitKind = "none" | "chapter" | "read";

export interface ScenarioForm {
  title: string;
  description: string;
  limit: LimitKind;
  /** The chapter, where `limit` is "chapter". */
  chapter: number;
  pins: readonly Pin[];
  public: boolean;
}

type Create = components["schemas"]["CreateScenarioRequest"];
type Patch = NonNullable<paths["/api/scenarios/{scenario_id}"]["patch"]["requestBody"]>;
type Update = Patch["content"]["application/json"];

export function emptyForm(): ScenarioForm {
  return { title: "", description: "", limit: "none", chapter: 1, pins: [], public: false };
}

export function formOf(scenario: Scenario): ScenarioForm {
  const { title, description, until_chapter, until_read, visibility } = scenario;
  return {
    ...emptyForm(),
    title,
    description,
    limit: until_read ? "read" : until_chapter === undefined ? "none" : "chapter",
    chapter: until_chapter ?? 1,
    public: visibility === "VISIBILITY_PUBLIC",
  };
}

/** Where a sentence or a line ends; the point after a title ("Mr.") or an initial ("J.") ends none. */
const END = /(?<=(?<!\b(?:Mrs?|Ms|Messrs|Mme|Mlle|Dr|St|Prof|Capt|Col|Gen|Lt|Sgt|Rev|Hon|[A-Z]))\.|[?!。？！])\s|\n/u;

/** A title for what-ifs that got none: the first sentence, cut at a word. */
export function titleOf(description: string): string {
  const [first = ""] = description.trim().split(END);
  const characters = [...first];
  if (characters.length <= 80) return first;
  const cut = characters.slice(0, 79).join("");
  return `${cut.replace(/\s+\S*$/u, "") || cut}…`;
}

/** The last chapter that may be shown while it is written; `read`: how far the writer has read. */
export function limitOf(form: Pick<ScenarioForm, "limit" | "chapter">, read: number | undefined): number | undefined {
  if (form.limit === "chapter") return form.chapter;
  // As for its readers: who has said nothing has read nothing but what stands before the first heading.
  return form.limit === "read" ? (read ?? 0) : undefined;
}

/** What is pinned within a limit, and what is beyond it. */
export function withinLimit(pins: readonly Pin[], limit: number | undefined): { within: Pin[]; beyond: Pin[] } {
  const fits = (pin: Pin) => limit === undefined || pin.chapter <= limit;
  return { within: pins.filter(fits), beyond: pins.filter((pin) => !fits(pin)) };
}

/** A new scenario; pins beyond the limit stay at home. */
export function createBody(novelId: string, form: ScenarioForm, read: number | undefined): Create {
  const { within } = withinLimit(form.pins, limitOf(form, read));
  return defined({
    novel_id: novelId,
    title: form.title.trim() || titleOf(form.description),
    description: form.description.trim(),
    passage_ids: within.map((pin) => pin.id),
    visibility: form.public ? ("VISIBILITY_PUBLIC" as const) : ("VISIBILITY_PRIVATE" as const),
    until_chapter: form.limit === "chapter" ? form.chapter : undefined,
    until_read: form.limit === "read",
  });
}

/** What differs from a scenario that there is. */
export function updateBody(scenario: Scenario, form: ScenarioForm): Update {
  const title = form.title.trim() || titleOf(form.description);
  const description = form.description.trim();
  const until = form.limit === "chapter" ? form.chapter : undefined;
  const lifted = form.limit !== formOf(scenario).limit && until === undefined && scenario.until_chapter !== undefined;
  return defined({
    title: title === scenario.title ? undefined : title,
    description: description === scenario.description ? undefined : description,
    until_chapter: until === scenario.until_chapter ? undefined : until,
    clear_until_chapter: lifted || undefined,
    until_read: (form.limit === "read") === scenario.until_read ? undefined : form.limit === "read",
  });
}

/** Puts a pin before or behind its neighbour; at an end nothing moves. */
export function moved(pins: readonly Pin[], from: number, to: number): readonly Pin[] {
  const pin = pins[from];
  if (!pin || to < 0 || to >= pins.length) return pins;
  const rest = pins.filter((_, index) => index !== from);
  return [...rest.slice(0, to), pin, ...rest.slice(to)];
}
