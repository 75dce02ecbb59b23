// Markdown as blocks, of a text that grows: only the last block is read again.
import { Marked, type Token, type Tokens } from "marked";

/** A block: a paragraph, a list and so on. The same object as long as nothing in it changes. */
export type Block = Token;

const MOST_CHARACTERS = 50_000;
// A paragraph of so many characters is read again when it has grown by a twentieth.
const LONG = 2_000;
const GROWTH = 20;
// To read what nests so deep takes seconds, and nobody can see it.
const TOO_DEEP = /^(?:[ \t]*(?:>|[-*+][ \t]|\d{1,9}[.)][ \t])){13}|^[ \t]{60,}(?:[-*+>]|\d)/m;

/**
 * What a character writes is no document: HTML is text like any other, a line break is one, and nothing is defined in
 * one place for another, so that no block changes what those before it mean.
 */
const reader = new Marked({
  gfm: true,
  breaks: true,
  tokenizer: { html: none, tag: none, def: none },
});

function none(): undefined {
  return undefined;
}

function lexed(text: string): Token[] {
  try {
    if (text.length <= MOST_CHARACTERS && !TOO_DEEP.test(text)) return reader.lexer(text);
  } catch {
    // Deeper than the stack is in some other way: whoever writes that gets it back as it is.
  }
  return [plain(text)];
}

/** A text as a paragraph without any marks. */
function plain(text: string): Tokens.Paragraph {
  return { type: "paragraph", raw: text, text, tokens: [{ type: "text", raw: text, text, escaped: false }] };
}

/** Reads a text that grows, again and again. */
export class BlockReader {
  #text = "";
  #blocks: readonly Block[] = [];
  // Of these nothing changes any more, and this is what they are made of.
  #stand: readonly Block[] = [];
  #source = "";

  /**
   * The blocks of a text. Those that stand are the same objects as before.
   *
   * @param open more is to come: of a long paragraph that has grown by little the rest is left as it is until later
   */
  read(text: string, open = false): readonly Block[] {
    if (text === this.#text) return this.#blocks;
    const longer = open && this.#lengthened(text);
    if (longer) return longer;
    if (!text.startsWith(this.#source)) {
      this.#stand = [];
      this.#source = "";
    }
    this.#text = text;
    const tokens = lexed(text.slice(this.#source.length));
    this.#settle(text, tokens);
    const now = [...this.#stand, ...tokens.filter(({ type }) => type !== "space")];
    this.#blocks = now.map((block, at) => (this.#blocks[at]?.raw === block.raw ? (this.#blocks[at] ?? block) : block));
    return this.#blocks;
  }

  /** The blocks with more text in the last one, if that is a paragraph which it would take too long to read again. */
  #lengthened(text: string): readonly Block[] | undefined {
    const paragraph = this.#blocks.at(-1);
    const more = text.slice(this.#text.length);
    if (paragraph?.type !== "paragraph" || paragraph.raw.length < Math.max(LONG, GROWTH * more.length))
      return undefined;
    if (more.includes("\n") || !this.#text.endsWith(paragraph.raw) || !text.startsWith(this.#text)) return undefined;
    const { tokens = [], ...rest } = paragraph as Tokens.Paragraph;
    const end = tokens.at(-1);
    const text_ =
      end?.type === "text"
        ? { ...(end as Tokens.Text), raw: end.raw + more, text: (end as Tokens.Text).text + more }
        : undefined;
    const added = text_ ? [...tokens.slice(0, -1), text_] : [...tokens, ...(plain(more).tokens ?? [])];
    return [...this.#blocks.slice(0, -1), { ...rest, tokens: added }];
  }

  /** Takes from the tokens those that stand. */
  #settle(text: string, tokens: Token[]): void {
    const raws = tokens.map(({ raw }) => raw);
    for (let at = last(tokens, tokens.length); at > 0; at = last(tokens, at)) {
      // What is behind a blank line may belong to the block before that, as long as its first line is not whole.
      const before = raws.slice(0, at).join("");
      if (!BLANK_LINE.test(before) || !raws.slice(at).join("").includes("\n")) continue;
      // The parser writes some line ends its own way: where its text is not ours nothing is known to stand.
      if (!text.startsWith(before, this.#source.length)) return;
      this.#stand = [...this.#stand, ...tokens.splice(0, at).filter(({ type }) => type !== "space")];
      this.#source += before;
      return;
    }
  }
}

const BLANK_LINE = /\n[ \t]*\n$/;

/** Where the last block before a place is. */
function last(tokens: readonly Token[], before: number): number {
  return tokens.slice(0, before).findLastIndex(({ type }) => type !== "space");
}
