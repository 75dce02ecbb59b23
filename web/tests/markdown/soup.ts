// Bits of Markdown, so that whatever is drawn of them means something.
import fc from "fast-check";

// prettier-ignore
export const bits = fc.constantFrom(
  "word", " ", "\n", "\n\n", "*", "**", "_", "`", "```", "~~", "# ", "## ", "> ", "- ", "* ", "1. ", "2) ", "  ", "    ", "---", "===",
  "|", "| a | b |\n|---|---|\n", "[", "](", ")", "![", "[a](https://x.example)", "[a]: https://x.example\n", "<b>", "</b>", "<!--",
  "<https://x.example>", "&amp;", "\\", "- [ ] ", "- [x] ", "가지", "🌿", "\t", ".", "https://x.example/a",
);
export const markdown = fc.array(bits, { maxLength: 30 }).map((all) => all.join(""));

/** What people have tried. */
// prettier-ignore
export const nasty = fc.constantFrom(
  "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "[x](JaVaScRiPt:alert(1))",
  "[x](java\tscript:alert(1))", "[x](&#106;avascript:alert(1))", "[x](javascript&colon;alert(1))", "![x](data:image/svg+xml;base64,AAAA)",
  "![x](https://x.example/pixel.gif)", "<a href='javascript:alert(1)'>x</a>", "<javascript:alert(1)>", "[x](data:text/html,x)",
  "<svg/onload=alert(1)>", "[x](vbscript:x)", "[x](//x.example)", "[x](https://x.example \"onmouseover=alert(1)\")", "<style>*{}</style>",
  "[x]: javascript:alert(1)\n\n[x]", "<iframe srcdoc=x>", "| <b> | [x](javascript:1) |\n|---|---|\n| <i> | x |\n", "`<b>`", "<!-- x -->",
  "[x](file:///etc/passwd)", "[x](blob:https://x.example/1)", "<a@x.example>", "www.x.example", "ftp://x.example",
);
