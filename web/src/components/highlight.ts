// Where the words of a query stand in a text. Search finds by meaning as well; what is marked is only what a reader who
// looks for their own words expects to see marked.

export interface Segment {
  text: string;
  marked: boolean;
}

const MOST_WORDS = 24;
const LONGEST_WORD = 48;

/** Words that stand everywhere, so that a mark on them tells nothing. */
const COMMON = new Set(
  (
    "a about all also an and any are as at be been but by can could did do does for from had has have he her here him " +
    "his how i if in into is it its me my no not of on or our she should so some than that the their them then there " +
    "they this to up us was we were what when where which who whom whose why will with would you your 그 이 저 것 수 등 및"
  ).split(" "),
);

/** Particles that follow a Korean noun; the longer ones first. */
const PARTICLES =
  /(?:에게서|한테서|으로서|으로써|이라는|에서는|에게는|이라고|으로|에서|에게|한테|께서|부터|까지|처럼|보다|마다|조차|라는|라고|하고|이나|이랑|은|는|이|가|을|를|의|에|와|과|도|로|만|랑)$/u;

/** A word: of a text or of a query. */
const WORD = /[\p{L}\p{M}\p{N}]+/gu;
const HANGUL = /\p{Script=Hangul}/u;
/** Chinese and Japanese put no spaces between words. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u;

interface Wanted {
  /** Whole words, in all their forms. */
  words: RegExp | undefined;
  /** Korean nouns, which particles follow. The longest first. */
  nouns: string[];
  /** What may stand anywhere. */
  pieces: string[];
}

/** The text in pieces: those that a word of the query stands in are marked. Joined, they are the text. */
export function highlight(text: string, query: string): Segment[] {
  const wanted = wantedOf(query);
  const segments: Segment[] = [];
  let end = 0;
  const push = (until: number, marked: boolean) => {
    if (until > end) segments.push({ text: text.slice(end, until), marked });
    end = until;
  };
  for (const { 0: word, index } of text.matchAll(WORD)) {
    for (const [from, until] of placesIn(word, wanted)) {
      push(index + from, false);
      push(index + until, true);
    }
  }
  push(text.length, false);
  return segments;
}

/** What of a word is marked: from and until, in code units. */
function* placesIn(word: string, { words, nouns, pieces }: Wanted): Generator<[number, number]> {
  if (words?.test(word.normalize("NFC"))) return yield [0, word.length];
  const noun = nouns.find((one) => word.startsWith(one));
  if (noun) return yield [0, noun.length];
  for (let from = 0; from < word.length;) {
    const piece = pieces.find((one) => word.startsWith(one, from));
    if (piece) yield [from, from + piece.length];
    from += piece?.length ?? 1;
  }
}

function wantedOf(query: string): Wanted {
  const words = query.normalize("NFC").toLowerCase().match(WORD) ?? [];
  const told = [...new Set(words)].filter((word) => !COMMON.has(word) && word.length <= LONGEST_WORD);
  const forms: string[] = [];
  const nouns: string[] = [];
  const pieces: string[] = [];
  for (const word of told.slice(0, MOST_WORDS)) {
    if (HANGUL.test(word)) nouns.push(nounOf(word));
    else if (UNSPACED.test(word)) pieces.push(word);
    else if (word.length > 1) forms.push(inflected(word));
  }
  const longestFirst = (one: string, other: string) => other.length - one.length;
  return {
    words: forms.length ? new RegExp(`^(?:${forms.join("|")})$`, "iu") : undefined,
    nouns: nouns.sort(longestFirst),
    pieces: pieces.sort(longestFirst),
  };
}

function nounOf(word: string): string {
  const noun = word.replace(PARTICLES, "");
  return noun.length > 1 ? noun : word;
}

/** An English word with its regular forms. Words are letters and digits alone, so there is nothing to escape. */
function inflected(word: string): string {
  const consonant = /^(.{2,})(?:ies|ied|y)$/.exec(word);
  if (consonant) return `${consonant[1]}(?:y|ys|ies|ied|ying)`;
  const form = /^(.{3,}?)(?:ing|ed|es|(?<!s)s|e)$/.exec(word);
  return `${form?.[1] ?? word}(?:e|s|es|ed|d|ing)?`;
}
