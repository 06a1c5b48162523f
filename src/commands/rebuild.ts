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
        context.progress(`position ${position} of ${head}, ${rateOf(events, began)} events/s${left}`);
      },
    });
    context.progress('');
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const { events, position } = rebuilt;
    context.say(
      `rebuilt ${name}: ${events} events up to position ${position} in ${seconds} s, ${rateOf(events, began)} events/s`,
    );
    return 0;
  });
}

function rateOf(events: number, beganMs: number): number {
  return Math.round((events / (performance.now() - beganMs)) * 1_000);
}
