import { computed } from "vue";
import { useI18n } from "vue-i18n";

const AGES: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** Numbers, languages, sizes and times as the chosen language writes them. */
export function useFormats() {
  const { locale } = useI18n();
  const numbers = computed(() => new Intl.NumberFormat(locale.value));
  const names = computed(() => new Intl.DisplayNames(locale.value, { type: "language" }));
  const ages = computed(() => new Intl.RelativeTimeFormat(locale.value, { numeric: "auto" }));

  const number = (value: number) => numbers.value.format(value);

  /** A size of a file, e.g. "1.2 MB". */
  function size(bytes: number): string {
    const [unit, amount] = bytes < 1e6 ? (["kilobyte", bytes / 1e3] as const) : (["megabyte", bytes / 1e6] as const);
    const maximumFractionDigits = unit === "kilobyte" ? 0 : 1;
    return new Intl.NumberFormat(locale.value, { style: "unit", unit, maximumFractionDigits }).format(amount);
  }

  /** The name of a language, of a BCP 47 tag; a tag that means nothing is given back. */
  function language(tag: string): string {
    try {
      return names.value.of(tag) ?? tag;
    } catch {
      return tag;
    }
  }

  /** How long ago a time is (RFC 3339), e.g. "yesterday"; empty for what is no time. */
  function ago(time: string | undefined, now = Date.now()): string {
    const seconds = (Date.parse(time ?? "") - now) / 1000;
    if (Number.isNaN(seconds)) return "";
    const [unit, length] = AGES.find(([, length]) => -seconds >= length) ?? (["second", 1] as const);
    return ages.value.format(unit === "second" ? 0 : Math.ceil(seconds / length), unit);
  }

  return { number, size, language, ago };
}
