/**
 * What comes and goes thousands of times a second, and now and then has to be listed. A Set would be
 * shorter, but under such changes it makes itself anew every few dozen entries, and its old tables,
 * once they have grown old, keep alive what they had: measured, that doubled the work of the garbage
 * collector.
 */
export interface Places<T> {
  /** The place to give back with `remove`. */
  add(value: T): number;
  remove(place: number): void;
  count(): number;
  all(): T[];
}

export function createPlaces<T>(): Places<T> {
  const values: (T | null)[] = [];
  const free: number[] = [];
  return {
    add(value) {
      const place = free.pop() ?? values.length;
      values[place] = value;
      return place;
    },
    remove(place) {
      values[place] = null;
      free.push(place);
    },
    count: () => values.length - free.length,
    all: () => values.filter((value) => value !== null),
  };
}
