/**
 * A stand-in for EventStoreDB as a process of its own, so that it can be killed:
 *
 *   node dist/test/support/eventstoredb/main.js --file <path> [--port <n>] [--durable]
 *
 * Prints its address once it listens. Whoever started it with a channel sends it faults.
 */
import { parseArgs } from 'node:util';
import type { Faults } from './faults.ts';
import { startStandIn } from './stand-in.ts';

/** What a test sends: faults to come, or what to do with what is open now. */
export type StandInOrder =
  | Partial<Pick<Faults, 'appends' | 'reads' | 'subscriptions' | 'slowReaderMax'>>
  | { readonly now: 'end-subscriptions' | 'mute-subscriptions' | 'drop-connections' };

const { values } = parseArgs({
  options: { file: { type: 'string' }, port: { type: 'string' }, durable: { type: 'boolean' } },
});
const standIn = await startStandIn({
  file: values.file ?? null,
  port: Number(values.port ?? 0),
  durable: values.durable ?? false,
});

process.on('message', (order: StandInOrder) => {
  if ('now' in order) {
    if (order.now === 'drop-connections') void standIn.dropConnections();
    else for (const one of standIn.subscribed) one[order.now === 'mute-subscriptions' ? 'mute' : 'end']();
    return;
  }
  standIn.faults.appends.push(...(order.appends ?? []));
  standIn.faults.reads.push(...(order.reads ?? []));
  standIn.faults.subscriptions.push(...(order.subscriptions ?? []));
  standIn.faults.slowReaderMax = order.slowReaderMax ?? standIn.faults.slowReaderMax;
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    standIn.stop();
    process.exit(0);
  });
}
process.stdout.write(`${standIn.url}\n`);
