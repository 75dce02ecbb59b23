/** Where a link may lead: to http and https addresses alone, which is what it returns, normalised. */
export function safeHref(href: string): string | undefined {
  // The parser drops line breaks and tabs in "java\nscript:" as browsers do, so that what it says holds.
  if (!URL.canParse(href)) return undefined;
  const url = new URL(href);
  return url.protocol === "https:" || url.protocol === "http:" ? url.href : undefined;
}
