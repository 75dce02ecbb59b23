// What-ifs to begin with, made of the names of the people in the book.
import type { Translate } from "@/i18n/translate";

const KINDS = ["refused", "letter", "met", "left"] as const;

/**
 * A Korean noun with the particle that fits it: the first after a consonant, the second after a vowel; both where the
 * spelling does not tell. Hangul syllables stand in Unicode in the order of their final consonants, 28 a vowel, from
 * none on (The Unicode Standard, 3.12).
 */
export function withParticle(noun: string, consonant: string, vowel: string): string {
  const last = noun.trim().codePointAt(noun.trim().length - 1) ?? 0;
  if (last < 0xac00 || last > 0xd7a3) return `${noun}${consonant}(${vowel})`;
  return noun + ((last - 0xac00) % 28 ? consonant : vowel);
}

/** Up to four, about the people who matter most. */
export function examples(names: readonly string[], t: Translate): string[] {
  const [a, b = a] = names;
  if (a === undefined || b === undefined) return [];
  const named = {
    a,
    b,
    aSubject: withParticle(a, "이", "가"),
    bSubject: withParticle(b, "이", "가"),
    aObject: withParticle(a, "을", "를"),
    bObject: withParticle(b, "을", "를"),
  };
  return KINDS.filter((kind) => a !== b || kind === "refused" || kind === "left").map((kind) =>
    t(`scenario.examples.${kind}`, named),
  );
}
