import { expect } from 'vitest';
import { type Decider, fold } from '../../src/domain/decider.ts';
import { Refusal, type RefusalCode, type RefusalDetail } from '../../src/errors.ts';

/**
 * Given events, when a command, then events or a refusal. Whatever is decided here is decided twice
 * from the same frozen state: a decider that looks at a clock, draws a number or changes what it
 * was given fails every test that is written this way.
 */
export function specification<C, S, E>(decider: Decider<C, S, E>) {
  return (...history: readonly E[]) => {
    const state = frozen(fold(decider, history));
    return {
      state,
      when(command: C) {
        return {
          /** Exactly these events follow; none when left out. */
          gives(...expected: readonly E[]) {
            const decided = decider.decide(frozen(command), state);
            expect(decided).toEqual(expected);
            expect(decider.decide(command, state)).toEqual(expected);
            const after = fold(decider, [...history, ...decided]);
            return {
              /** The same command once more has nothing left to do. */
              andNothingWhenRepeated: () => expect(decider.decide(command, after)).toEqual([]),
              /** What is true afterwards, at least. */
              andThen: (expected: object) => expect(after).toMatchObject(expected),
            };
          },
          refuses(code: RefusalCode, detail: RefusalDetail = {}) {
            const refusal = refusalOf(() => decider.decide(frozen(command), state));
            expect(refusal.code).toBe(code);
            expect(refusal.detail).toMatchObject(detail);
          },
        };
      },
    };
  };
}

/** The refusal that the task throws; fails when it throws nothing or something else. */
export function refusalOf(task: () => unknown): Refusal {
  try {
    task();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error('expected a refusal, and nothing was thrown');
}

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) frozen(member);
  }
  return value;
}
