const SECONDS = 60;

/** Gives a file to the browser, as a download with a name. */
export function saveFile(content: Blob, name: string): void {
  const address = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), SECONDS * 1000); // some browsers read it later
}

/** A name for a file from words, without what file systems refuse. */
export function fileName(words: string, extension: string): string {
  const name = words
    .replace(/[\p{C}\p{Zl}\p{Zp}<>:"/\\|?*]+/gu, " ")
    .replace(/\s+/g, " ")
    .trim();
  return `${Array.from(name).slice(0, 80).join("").trim() || "conversation"}.${extension}`;
}
