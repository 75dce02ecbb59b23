/** Text without its marks of emphasis, for where a message is shown in one line. Anything else stays as it is. */
export function plain(markdown: string): string {
  return markdown
    .replace(/(\*{1,3}|(?<!\w)_{1,3})(?=\S)([^*_]+?)(?<=\S)\1(?!\w)/g, "$2")
    .replace(/^[#>]+\s+/gm, "")
    .replace(/\s+/g, " ")
    .trim();
}
