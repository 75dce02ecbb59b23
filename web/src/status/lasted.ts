/** A time in the largest unit that is at least twice in it: a key of the words, and how many of it. */
export function lasted(seconds: number): ["days" | "hours" | "minutes" | "seconds", number] {
  if (seconds >= 2 * 86_400) return ["days", Math.floor(seconds / 86_400)];
  if (seconds >= 2 * 3_600) return ["hours", Math.floor(seconds / 3_600)];
  if (seconds >= 2 * 60) return ["minutes", Math.floor(seconds / 60)];
  return ["seconds", Math.max(0, Math.floor(seconds))];
}
