/**
 * The races for limits at full size: `npm run race -- [--processes 1,2,4] [--rounds 3] [--minutes 3]`.
 *
 * Budgets: 1,000 requests at once against budgets for 100 on a key, its project, its tenant and an end user
 * together. Rates: for so many minutes, requests against a key with a limit per minute, in bursts every
 * second; the log says when each was admitted, and no 60 seconds may hold more than the limit. The program
 * runs with as many workers, an embedded PostgreSQL of its own and the simulated upstream. Exits with 1 when
 * more than allowed was served, or less than 99 % of it.
 */
import { parseArgs } from 'node:util';
import { setTimeout as wait } from 'node:timers/promises';
import { type Server, startServer, temporaryDataDir } from '../journeys/server.ts';
import { ask, limitedTo, race } from './races.ts';

const REQUESTS = 1_000;
const PAID = 100;
const PER_MINUTE = 300;
const WINDOW_MS = 60_000;
/** More than the limit allows, so that it is always used up. */
const BURST = 40;

const { values } = parseArgs({
  options: {
    processes: { type: 'string', default: '1,2,4' },
    rounds: { type: 'string', default: '3' },
    minutes: { type: 'string', default: '3' },
  },
});

let failed = false;
for (const processes of values.processes.split(',').map(Number)) {
  const folder = temporaryDataDir();
  const server = await startServer(folder.path, {}, undefined, ['--workers', String(processes)]);
  try {
    for (let round = 1; round <= Number(values.rounds); round += 1) await budgets(server, processes, round);
    if (Number(values.minutes) > 0) await rates(server, processes, Number(values.minutes));
  } finally {
    await server.stop();
    folder.remove();
  }
}
process.exitCode = failed ? 1 : 0;

async function budgets(server: Server, processes: number, round: number): Promise<void> {
  const result = await race(server, await limitedTo(server, PAID), REQUESTS);
  console.log(JSON.stringify({ race: 'budgets', workers: processes, round, ...result }));
  if (result.served > PAID || result.served < 0.99 * PAID || result.spent > PAID) failed = true;
}

async function rates(server: Server, processes: number, minutes: number): Promise<void> {
  const { body } = await server.api<{ key: string; token: string }>('POST', '/key/generate', {
    rpm_limit: PER_MINUTE,
    key_alias: `rates-${processes}`,
  });
  const endMs = performance.now() + minutes * WINDOW_MS;
  const waiting: Promise<unknown>[] = [];
  while (performance.now() < endMs) {
    for (let i = 0; i < BURST; i += 1) waiting.push(ask(server.port, body.key, 'rates'));
    await wait(1_000);
  }
  await Promise.all(waiting);
  const admitted = await admissions(server, 'rates');
  let most = 0;
  for (let first = 0, last = 0; last < admitted.length; last += 1) {
    while (admitted[last]! - admitted[first]! >= WINDOW_MS) first += 1;
    most = Math.max(most, last - first + 1);
  }
  // The last window is used up, too, and the first one begins at once.
  const usable = PER_MINUTE * minutes;
  console.log(
    JSON.stringify({ race: 'rates', processes, minutes, admitted: admitted.length, usable, mostIn60s: most }),
  );
  if (most > PER_MINUTE || admitted.length < 0.99 * usable) failed = true;
}

/** When requests that name this end user were admitted, milliseconds since 1970, ascending. */
async function admissions(server: Server, endUser: string): Promise<readonly number[]> {
  const times: number[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const more: string = cursor === '' ? '' : `&cursor=${cursor}`;
    const { body }: { body: { data: { at: string; status: number }[]; next_cursor: string | null } } =
      await server.api('GET', `/api/requests?end_user=${endUser}&limit=100${more}`);
    times.push(...body.data.map(({ at }) => Date.parse(at)));
    cursor = body.next_cursor;
  }
  return times.toSorted((a, b) => a - b);
}
