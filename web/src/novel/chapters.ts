// What chapters are called.
import type { Translate } from "@/i18n/translate";

const NUMBER = "(?:\\d+|(?=[ivxlcdm])m*(?:c[md]|d?c{0,3})(?:x[cl]|l?x{0,3})(?:i[xv]|v?i{0,3}))";
/** A heading that says no more than the number. */
const NUMBER_ALONE = new RegExp(`^(?:chapter|chap\\.?)?\\s*${NUMBER}[.:]?$|^제?\\s*\\d+\\s*[장화회부편]$`, "iu");
/** "CHAPTER III. The Boy" has its number already. */
const NUMBERED = new RegExp(`^chapter\\s+${NUMBER}[.:\\s—–-]+`, "iu");

/** "Chapter 3" or "Chapter 3: The Boy", of a chapter's number and its heading, which may be empty. */
export function chapterName(chapter: number, title: string, t: Translate): string {
  const name = chapter === 0 ? t("novel.chapterZero") : t("novel.chapter", { n: chapter });
  const heading = title.trim();
  if (!heading || NUMBER_ALONE.test(heading)) return name;
  return t("novel.chapterTitled", { name, title: heading.replace(NUMBERED, "") || heading });
}
