import { expect, test } from "vitest";
import type { Character } from "@/api/types";
import { changeOf, formOf } from "@/novel/characterChange";
import { relationWords } from "@/novel/relations";

const character = {
  name: "Ines",
  aliases: ["Miss Corrow", "the girl"],
  description: "She lit the lamp.",
  hidden: false,
  merged_into_id: "",
  relations: [
    { name: "Toby", kind: "" },
    { name: "Lise", kind: "sister" },
    { name: "Pell", kind: "godfather" },
  ],
} as unknown as Character;

test("only what differs is changed, so that the rest follows the book", () => {
  const form = formOf(character);
  expect(changeOf(character, form)).toEqual({});
  expect(changeOf(character, { ...form, name: " Ines " })).toEqual({});
  expect(changeOf(character, { ...form, name: "Ines Corrow", hidden: true })).toEqual({
    name: "Ines Corrow",
    hidden: true,
  });
  expect(changeOf(character, { ...form, aliases: "Ine\n\n Ine \nMiss Corrow" })).toEqual({
    aliases: { names: ["Ine", "Miss Corrow"] },
  });
  expect(changeOf(character, { ...form, aliases: "", description: "", mergedInto: "c2" })).toEqual({
    aliases: { names: [] },
    description: "",
    merged_into_id: "c2",
  });
});

test("relations are told in words, a kinship of a later release as it comes", () => {
  const t = (key: string, named?: Record<string, unknown>) =>
    key === "novel.related" ? `${String(named?.["name"])} (${String(named?.["kind"])})` : key;
  expect(relationWords(character, t)).toEqual(["Toby", "Lise (novel.kinds.sister)", "Pell (godfather)"]);
});
