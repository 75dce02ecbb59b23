/** The lower of two spoiler limits; undefined: there is none. */
export function lowerLimit(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Math.min(one, other);
}
