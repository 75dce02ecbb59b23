// Blocks as elements of a fixed list, never as HTML: what a model writes can be neither code nor a picture of elsewhere.
import { createTextVNode, h, type VNode } from "vue";
import type { Token, Tokens } from "marked";
import { decoded } from "./entities";
import GrowingText from "./GrowingText";
import { safeHref } from "./links";

type Text = (text: string) => VNode;

const DEEPEST = 12;

/** A block. `growing`: what stands of its text nodes is not touched when it comes again with more. */
export function block(token: Token, growing: boolean): VNode {
  return blockAt(token, growing ? growingText : createTextVNode, 0);
}

function growingText(text: string): VNode {
  return h(GrowingText, { text });
}

function blocks(tokens: readonly Token[], text: Text, depth: number): VNode[] {
  return tokens.filter(({ type }) => type !== "space").map((token) => blockAt(token, text, depth));
}

function blockAt(token: Token, text: Text, depth: number): VNode {
  if (depth > DEEPEST) return h("p", [text(token.raw)]);
  switch (token.type) {
    case "heading": {
      const { depth: level, tokens } = token as Tokens.Heading;
      // A page and its parts have headings of their own above.
      return h(`h${Math.min(6, level + 2)}`, inline(tokens, text, depth));
    }
    case "paragraph":
      return h("p", inline((token as Tokens.Paragraph).tokens, text, depth));
    case "text": {
      // Of a list's item that is one line.
      const { tokens, raw } = token as Tokens.Text;
      return h("span", tokens ? inline(tokens, text, depth) : [text(decoded(raw))]);
    }
    case "blockquote":
      return h("blockquote", blocks((token as Tokens.Blockquote).tokens, text, depth + 1));
    case "list":
      return list(token as Tokens.List, text, depth);
    case "code":
      return h("pre", [h("code", [text((token as Tokens.Code).text)])]);
    case "table":
      return table(token as Tokens.Table, text, depth);
    case "hr":
      return h("hr");
    case "checkbox":
      return checkbox(token, text);
    default:
      return h("p", [text(token.raw)]);
  }
}

function list(token: Tokens.List, text: Text, depth: number): VNode {
  const items = token.items.map((item) => h("li", blocks(item.tokens, text, depth + 1)));
  if (!token.ordered) return h("ul", items);
  return token.start === 1 || token.start === "" ? h("ol", items) : h("ol", { start: token.start }, items);
}

function table(token: Tokens.Table, text: Text, depth: number): VNode {
  const row = (cells: readonly Tokens.TableCell[], name: "td" | "th") =>
    h(
      "tr",
      cells.map((cell) => h(name, name === "th" ? { scope: "col" } : {}, inline(cell.tokens, text, depth + 1))),
    );
  return h("table", [
    h("thead", [row(token.header, "th")]),
    h(
      "tbody",
      token.rows.map((cells) => row(cells, "td")),
    ),
  ]);
}

function inline(tokens: readonly Token[] | undefined, text: Text, depth: number): VNode[] {
  return (tokens ?? []).map((token) => inlineAt(token, text, depth + 1));
}

function inlineAt(token: Token, text: Text, depth: number): VNode {
  if (depth > DEEPEST) return text(token.raw);
  switch (token.type) {
    case "text": {
      const { tokens, text: words } = token as Tokens.Text;
      return tokens ? h("span", inline(tokens, text, depth)) : text(decoded(words));
    }
    case "escape":
      return text((token as Tokens.Escape).text);
    case "strong":
    case "em":
    case "del":
      return h(token.type, inline((token as Tokens.Strong).tokens, text, depth));
    case "codespan":
      return h("code", [text((token as Tokens.Codespan).text)]);
    case "br":
      return h("br");
    case "checkbox":
      return checkbox(token, text);
    case "link": {
      const { href, tokens } = token as Tokens.Link;
      return link(href, inline(tokens, text, depth));
    }
    case "image": {
      const { href, text: words } = token as Tokens.Image;
      return link(href, [text(words || href)]);
    }
    default:
      return text(token.raw);
  }
}

function checkbox(token: Token, text: Text): VNode {
  return text((token as Tokens.Checkbox).checked ? "☑ " : "☐ ");
}

function link(href: string, words: VNode[]): VNode {
  const safe = safeHref(href);
  if (!safe) return h("span", words);
  return h("a", { href: safe, target: "_blank", rel: "noopener nofollow noreferrer" }, words);
}
