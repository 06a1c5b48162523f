import { readModel } from '../read-models.ts';
import { rebuild } from '../rebuild.ts';
import { type CommandContext, usage, withInstallation } from './context.ts';

/** Fills one read model anew beside the live table and switches over; servers go on meanwhile. */
export async function rebuildCommand(context: CommandContext): Promise<number> {
  const [name] = context.args;
  if (name === undefined) return usage(context, 'rebuild <projection>');
  const projection = readModel(name);
  return withInstallation(context, async ({ store, database }) => {
    const began = performance.now();
    const rebuilt = await rebuild({
      store,
      pool: database.pool,
      projection,
      nowMs: () => performance.now(),
      onProgress: ({ position, head, events, secondsLeft }) => {
        const left = secondsLeft === null ? '' : `, ${Math.ceil(secondsLeft)} s left`;
        const rate = Math.round((events / (performance.now() - began)) * 1_000);
        context.progress(`position ${position} of ${head}, ${rate} events/s${left}`);
      },
    });
    context.progress('');
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    context.say(
      `rebuilt ${name}: ${rebuilt.events} events up to position ${rebuilt.position} in ${seconds} s`,
    );
    return 0;
  });
}
