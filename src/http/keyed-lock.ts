import type { HttpDeps } from './deps.ts';

/**
 * Runs tasks that name the same thing one after the other, in the order of their arrival, and all
 * others side by side. It makes "look whether the name is free, then take it" one step, here and,
 * with `claimName`, in all processes over the same database; the names themselves are checked
 * against the read model. `kind` keeps the names of different locks apart.
 */
export type KeyedLock = <T>(
  deps: Pick<HttpDeps, 'claimName'>,
  name: string,
  task: () => Promise<T>,
) => Promise<T>;

export function keyedLock(kind: string): KeyedLock {
  const tails = new Map<string, Promise<unknown>>();
  return async ({ claimName }, name, task) => {
    const before = tails.get(name) ?? Promise.resolve();
    const claimed = () => claimName(`${kind} ${name}`, task);
    const turn = before.then(claimed, claimed);
    tails.set(name, turn);
    try {
      return await turn;
    } finally {
      if (tails.get(name) === turn) tails.delete(name);
    }
  };
}
