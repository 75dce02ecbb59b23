import { computed } from "vue";
import { useI18n } from "vue-i18n";
import { lasted } from "./lasted";

const NOTHING = "–";

/** Numbers as words, in the reader's language; what is not known is a dash. */
export function useFigures() {
  const { t, locale } = useI18n();
  const whole = computed(() => new Intl.NumberFormat(locale.value, { maximumFractionDigits: 0 }));
  const fine = computed(() => new Intl.NumberFormat(locale.value, { maximumSignificantDigits: 2 }));
  const share = computed(() => new Intl.NumberFormat(locale.value, { style: "percent", maximumFractionDigits: 0 }));
  const clock = computed(() => new Intl.DateTimeFormat(locale.value, { timeStyle: "medium" }));

  function known(value: number | undefined, form: (value: number) => string): string {
    return value === undefined ? NOTHING : form(value);
  }

  return {
    count: (value: number | undefined) => known(value, (one) => whole.value.format(one)),
    percent: (value: number | undefined) => known(value, (one) => share.value.format(one)),
    milliseconds: (seconds: number | undefined) =>
      known(seconds, (one) => t("status.ms", [fine.value.format(one * 1000)])),
    memory: (bytes: number | undefined) => known(bytes, (one) => t("status.mib", [whole.value.format(one / 2 ** 20)])),
    since: (seconds: number | undefined) =>
      known(seconds, (one) => {
        const [unit, amount] = lasted(one);
        return t(`status.${unit}`, [whole.value.format(amount)]);
      }),
    time: (milliseconds: number) => clock.value.format(milliseconds),
  };
}
