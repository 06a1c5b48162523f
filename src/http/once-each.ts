import { type Command, hasRun } from './command.ts';
import type { HttpDeps } from './deps.ts';

/**
 * The ids on which the command is still to be carried out. Those on which this very command was
 * carried out before are passed over; `require` throws for the others that there are not, before
 * anything is changed.
 */
export async function onceEach(
  deps: HttpDeps,
  command: Command,
  ids: readonly string[],
  streamOf: (id: string) => string,
  require: (id: string) => Promise<unknown>,
): Promise<readonly string[]> {
  const open: string[] = [];
  for (const id of ids) {
    if (await hasRun(deps.store, streamOf(id), command)) continue;
    await require(id);
    open.push(id);
  }
  return open;
}
