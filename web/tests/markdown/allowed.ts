const ELEMENTS = new Set(
  "a blockquote br code del div em h3 h4 h5 h6 hr li ol p pre span strong table tbody td th thead tr ul".split(" "),
);
const ATTRIBUTES: Record<string, readonly string[]> = { a: ["href", "target", "rel"], ol: ["start"], th: ["scope"] };

/** Whether an element is none that Markdown may make. */
export function strange(name: string, attributes: Record<string, unknown>): boolean {
  const others = Object.keys(attributes).filter(
    (key) => !ATTRIBUTES[name]?.includes(key) && !key.startsWith("data-v-"),
  );
  const href = attributes["href"];
  const link =
    name === "a" &&
    !(typeof href === "string" && /^https?:\/\//.test(href) && attributes["rel"] === "noopener nofollow noreferrer");
  return !ELEMENTS.has(name) || others.length > 0 || link;
}
