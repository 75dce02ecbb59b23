// What a form about a character changes.
import type { paths } from "@/api/schema";
import type { Character } from "@/api/types";

export interface CharacterForm {
  name: string;
  /** One a line. */
  aliases: string;
  description: string;
  hidden: boolean;
  /** The id of the one that this one is the same as; empty: none. */
  mergedInto: string;
}

type Patch = NonNullable<paths["/api/characters/{character_id}"]["patch"]["requestBody"]>;
export type CharacterChange = Patch["content"]["application/json"];

const lines = (text: string) => [...new Set(text.split("\n").map((line) => line.trim()))].filter(Boolean);

export function formOf(character: Character): CharacterForm {
  const { name, aliases, description, hidden, merged_into_id } = character;
  return { name, aliases: aliases.join("\n"), description, hidden, mergedInto: merged_into_id };
}

/** The fields that differ, and no others: what stays as the book has it follows the book. */
export function changeOf(character: Character, form: CharacterForm): CharacterChange {
  const before = formOf(character);
  const names = lines(form.aliases);
  const change: CharacterChange = {};
  if (form.name.trim() !== before.name) change.name = form.name.trim();
  if (names.join("\n") !== before.aliases) change.aliases = { names };
  if (form.description.trim() !== before.description.trim()) change.description = form.description.trim();
  if (form.hidden !== before.hidden) change.hidden = form.hidden;
  if (form.mergedInto !== before.mergedInto) change.merged_into_id = form.mergedInto;
  return change;
}
