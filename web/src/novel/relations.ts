// What the text says of two people, in words.
import type { Character } from "@/api/types";
import type { Translate } from "@/i18n/translate";

const MOST = 5;
const KINDS = new Set(
  (
    "wife husband mother father sister brother daughter son aunt uncle niece nephew cousin " +
    "grandmother grandfather granddaughter grandson"
  ).split(" "),
);

/** "Jane (sister)", "Mr. Darcy": the strongest first; a kinship in words of a later release as it comes. */
export function relationWords(character: Pick<Character, "relations">, t: Translate): string[] {
  return character.relations.slice(0, MOST).map(({ name, kind }) => {
    if (!kind) return name;
    return t("novel.related", { name, kind: KINDS.has(kind) ? t(`novel.kinds.${kind}`) : kind });
  });
}
