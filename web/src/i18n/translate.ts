/** vue-i18n's `t`, as plain functions take it. */
export interface Translate {
  (key: string): string;
  // eslint-disable-next-line @typescript-eslint/unified-signatures -- of its overloads none has an optional parameter
  (key: string, named: Record<string, unknown>): string;
}
