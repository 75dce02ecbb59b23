/** How many characters a message may have. */
export const LONGEST = 8_000;

/** The length of a text as the services count it: Unicode code points, of which some are two units here. */
export function lengthOf(text: string): number {
  return text.length - (text.match(/[\ud800-\udbff][\udc00-\udfff]/g)?.length ?? 0);
}

/** Whether a text can be sent as a message. */
export function sendable(text: string): boolean {
  const sent = text.trim();
  return sent !== "" && lengthOf(sent) <= LONGEST;
}

/** Whether there is no keyboard but the one on the screen, whose Enter begins a line. */
export function byTouch(): boolean {
  return matchMedia("(pointer: coarse)").matches;
}

/**
 * Whether a key sends what is written. While a syllable is being put together (Korean, Japanese, Chinese) Enter ends
 * that alone; Safari ends it first and then reports the key, with the code 229.
 */
export function enterSends(event: KeyboardEvent): boolean {
  const composing = event.isComposing || event.keyCode === 229;
  return event.key === "Enter" && !event.shiftKey && !composing && !byTouch();
}

/** Whether something failed because its reader did not want it any more: there is nothing to say then. */
export function leftOff(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
