/** The processes of a benchmark: each side in its own, talking to this one over node's channel, gone when it goes. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

export interface Helper {
  readonly pid: number;
  /** One message there, one message back; not several at once. */
  readonly ask: (message: object) => Promise<unknown>;
  readonly stop: () => Promise<void>;
}

/** Starts a program of this folder and waits for its first message. */
export async function startHelper(
  program: string,
  ...args: readonly string[]
): Promise<Helper & { readonly first: unknown }> {
  const child = fork(new URL(`./${program}.js`, import.meta.url), args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const first = await nextMessage(child, program);
  return {
    pid: child.pid ?? 0,
    first,
    ask: (message) => {
      const answer = nextMessage(child, program);
      child.send(message);
      return answer;
    },
    stop: () => stopProcess(child),
  };
}

/** A helper that serves HTTP says where in its first message. */
export async function startServer(
  program: string,
  ...args: readonly string[]
): Promise<Helper & { readonly url: string }> {
  const helper = await startHelper(program, ...args);
  return { ...helper, url: field(helper.first, 'url') };
}

export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const patience = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await gone;
  clearTimeout(patience);
}

/** For helpers: report, and end with the process that started them. */
export function report(message: object): void {
  process.send?.(message);
}

export function endWithParent(): void {
  process.on('disconnect', () => process.exit(0));
}

export function field(value: unknown, name: string): string {
  const found: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
  if (typeof found !== 'string') throw new Error(`no ${name} in ${JSON.stringify(value)}`);
  return found;
}

function nextMessage(child: ChildProcess, program: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`${program} ended with ${code}`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message);
    });
  });
}
