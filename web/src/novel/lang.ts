const NAMES = new Intl.DisplayNames("en", { type: "language", fallback: "none" });

/** A novel's language as an attribute `lang`; undefined where it says none that there is, so that nobody reads it so. */
export function langOf(tag: string): string | undefined {
  try {
    return NAMES.of(tag) ? tag : undefined;
  } catch {
    return undefined; // not even formed like one
  }
}
