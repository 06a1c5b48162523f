/** Numbers that look like chance and are the same for the same seed. */
export interface Chance {
  /** From 0 to less than 1. */
  next(): number;
  /** Whole, both ends included. */
  between(min: number, max: number): number;
  /** One of them, by its weight. */
  pick<T>(choices: readonly (readonly [choice: T, weight: number])[]): T;
}

export function chance(seed: number): Chance {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    between: (min, max) => min + Math.floor(next() * (max - min + 1)),
    pick(choices) {
      let left = next() * choices.reduce((sum, [, weight]) => sum + weight, 0);
      for (const [choice, weight] of choices) if ((left -= weight) < 0) return choice;
      return choices.at(-1)![0];
    },
  };
}
