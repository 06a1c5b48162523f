/** How long the calls of an object took together, by name. */
export type Times = Record<string, { seconds: number; calls: number }>;

/** The same object; each call of a function of it is timed until its answer, and a stream while it is waited for. */
export function timed<T extends object>(target: T, name: string, times: Times): T {
  return new Proxy(target, {
    get(object, property) {
      const member: unknown = Reflect.get(object, property);
      if (typeof member !== 'function') return member;
      const into = `${name}.${String(property)}`;
      return (...args: unknown[]): unknown => {
        const began = performance.now();
        const answer: unknown = Reflect.apply(member, object, args);
        if (isIterable(answer)) return whileWaiting(answer, into, times);
        if (answer instanceof Promise) return answer.finally(() => add(times, into, began, 1));
        return answer;
      };
    },
  });
}

async function* whileWaiting(items: AsyncIterable<unknown>, into: string, times: Times) {
  let began = performance.now();
  for await (const item of items) {
    add(times, into, began, 0);
    yield item;
    began = performance.now();
  }
  add(times, into, began, 1);
}

function add(times: Times, into: string, began: number, calls: number): void {
  const known = (times[into] ??= { seconds: 0, calls: 0 });
  known.seconds += (performance.now() - began) / 1_000;
  known.calls += calls;
}

function isIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
