// Which files can become novels, so that a wrong one is told before it is sent. The library service judges them itself.

/** Why a file is not sent. */
export type Refusal = "kind" | "size" | "empty";

export const MOST_BYTES = 20 * 2 ** 20;

const SUFFIXES = [".txt", ".text", ".epub", ".html", ".htm", ".xhtml", ".md", ".markdown"];
const TYPES = ["text/plain", "text/html", "text/markdown", "application/epub+zip", "application/xhtml+xml"];

/** For the attribute `accept` of a file input. */
export const ACCEPT = [...SUFFIXES, ...TYPES].join(",");

/** Why a file cannot become a novel; undefined: it may. */
export function refusal(file: Pick<File, "name" | "type" | "size">): Refusal | undefined {
  const name = file.name.toLowerCase();
  if (!SUFFIXES.some((suffix) => name.endsWith(suffix)) && !TYPES.includes(file.type)) return "kind";
  if (file.size === 0) return "empty";
  return file.size > MOST_BYTES ? "size" : undefined;
}
