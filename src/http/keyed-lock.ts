/**
 * Runs tasks that name the same thing one after the other, in the order of their arrival, and all
 * others side by side. It makes "look whether the name is free, then take it" one step within this
 * process; the names themselves are checked against the read model.
 */
export type KeyedLock = <T>(name: string, task: () => Promise<T>) => Promise<T>;

export function keyedLock(): KeyedLock {
  const tails = new Map<string, Promise<unknown>>();
  return async (name, task) => {
    const before = tails.get(name) ?? Promise.resolve();
    const turn = before.then(task, task);
    tails.set(name, turn);
    try {
      return await turn;
    } finally {
      if (tails.get(name) === turn) tails.delete(name);
    }
  };
}
