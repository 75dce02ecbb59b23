// Words, in English and Korean. Each part of the app keeps its own beside its components (`messages.ts`); a test holds
// that both languages have the same keys.
import { createI18n } from "vue-i18n";
import * as account from "../account/messages";
import * as chat from "../chat/messages";
import * as components from "../components/messages";
import * as library from "../library/messages";
import * as novel from "../novel/messages";
import * as scenario from "../scenario/messages";
import * as shell from "../shell/messages";
import * as status from "../status/messages";

const parts = { account, chat, components, library, novel, scenario, shell, status };

export const LANGUAGES = ["en", "ko"] as const;
export type Language = (typeof LANGUAGES)[number];

const KEY = "gaji.language";

function wordsOf(language: Language) {
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, part[language]]));
}

/** The language that the reader has chosen, else the browser's first that there is, else English. */
function preferred(): Language {
  const chosen = localStorage.getItem(KEY);
  const wanted = [chosen, ...navigator.languages].map((tag) => tag?.slice(0, 2).toLowerCase());
  return LANGUAGES.find((language) => language === wanted.find((tag) => LANGUAGES.some((one) => one === tag))) ?? "en";
}

export const messages = { en: wordsOf("en"), ko: wordsOf("ko") };
export const i18n = createI18n({ legacy: false, locale: preferred(), fallbackLocale: "en", messages });
document.documentElement.lang = i18n.global.locale.value;

/** Changes the language, here and for later visits. */
export function chooseLanguage(language: Language): void {
  localStorage.setItem(KEY, language);
  i18n.global.locale.value = language;
  document.documentElement.lang = language;
}
