/**
 * How a process of a chaos run dies: it counts the steps that it takes (each call that leaves the process, before it
 * is made and after it was answered) and kills itself, as `kill -9` does, at the step that it was told. So every kill
 * hits something under way, and the one who started it hears which.
 */
import { writeSync } from 'node:fs';

const STANDARD_OUTPUT = 1;

/** `at`: the step to die at; 0: never. */
export function dyingAt(at: number): (step: string) => void {
  let taken = 0;
  return (step) => {
    taken += 1;
    if (taken !== at) return;
    writeSync(STANDARD_OUTPUT, `died ${step}\n`);
    process.kill(process.pid, 'SIGKILL');
  };
}

/** The same object; every call of one of these functions is a step before and a step after. */
export function stepping<T extends object>(
  target: T,
  names: readonly (keyof T & string)[],
  step: (name: string) => void,
): T {
  return new Proxy(target, {
    get(object, property) {
      const member: unknown = Reflect.get(object, property);
      const name = names.find((one) => one === property);
      if (name === undefined || typeof member !== 'function') return member;
      return async (...args: unknown[]): Promise<unknown> => {
        step(`before ${name}`);
        const answer: unknown = await Reflect.apply(member, object, args);
        step(`after ${name}`);
        return answer;
      };
    },
  });
}
