/** Runs its task after all items before have run theirs, or are through without one. */
export type InTurn = <T>(task: () => Promise<T>) => Promise<T>;

/**
 * Works the items, a few at a time, and answers in their order. What must happen in their order as
 * well is begun in turn. Throws what a piece of work throws, once all that were begun have ended.
 */
export async function sideBySide<I, T>(
  items: readonly I[],
  atOnce: number,
  work: (item: I, inTurn: InTurn) => Promise<T>,
): Promise<readonly T[]> {
  const results: T[] = [];
  let next = 0;
  let before: Promise<void> = Promise.resolve();

  async function one(i: number): Promise<void> {
    const mine = before;
    let pass = (): void => undefined;
    const passed = new Promise<void>((resolve) => {
      pass = resolve;
    });
    before = mine.then(() => passed);
    const inTurn: InTurn = async (task) => {
      await mine;
      const running = task();
      pass();
      return await running;
    };
    try {
      results[i] = await work(items[i]!, inTurn);
    } finally {
      pass();
    }
  }

  async function worker(): Promise<void> {
    while (next < items.length) {
      next += 1;
      try {
        await one(next - 1);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  }

  const ended = await Promise.allSettled(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  for (const end of ended) if (end.status === 'rejected') throw end.reason;
  return results;
}
