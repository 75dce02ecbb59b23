import { expect, test } from "vitest";

type Words = { [key: string]: string | Words };

const parts = import.meta.glob<{ en: Words; ko: Words }>("../src/*/messages.ts", { eager: true });
const sources = import.meta.glob<string>("../src/**/*.{vue,ts}", { eager: true, query: "?raw", import: "default" });

const areaOf = (path: string) => path.split("/")[2] ?? "";

function keysOf(words: Words, before: string): string[] {
  return Object.entries(words).flatMap(([key, value]) =>
    typeof value === "string" ? [`${before}.${key}`] : keysOf(value, `${before}.${key}`),
  );
}

/** What is given to `t` in a source, each call up to the bracket that closes it. */
function* given(source: string): Generator<string> {
  for (const { index } of source.matchAll(/\bt\(/g)) {
    let depth = 0;
    let end = index + 1;
    do {
      if (source[end] === "(") depth += 1;
      if (source[end] === ")") depth -= 1;
      end += 1;
    } while (depth && end < source.length);
    yield source.slice(index, end);
  }
}

test.each(Object.entries(parts))(
  "%s has the same keys in both languages, and nothing that is empty",
  (path, { en, ko }) => {
    expect(keysOf(ko, areaOf(path))).toEqual(keysOf(en, areaOf(path)));
    expect(JSON.stringify([en, ko])).not.toContain('""');
  },
);

test("every key that is named in the app has words", () => {
  const known = new Set(Object.entries(parts).flatMap(([path, { en }]) => keysOf(en, areaOf(path))));
  const areas = new Set([...known].map((key) => key.split(".")[0]));
  const named = Object.entries(sources).flatMap(([path, text]) =>
    [...given(text)].flatMap((call) =>
      [...call.matchAll(/["'](\w+(?:\.\w+)+)["']/g)].map(([, key = ""]) => ({ path, key })),
    ),
  );
  expect(named.length).toBeGreaterThan(100);
  expect(named.filter(({ key }) => areas.has(key.split(".")[0]) && !known.has(key))).toEqual([]);
});
