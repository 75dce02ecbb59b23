/** A type whose fields may be absent, but are never undefined. */
export type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** An object without what is undefined: the contract tells "absent" from every value. */
export function defined<T extends object>(given: T): Defined<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Defined<T>;
}
