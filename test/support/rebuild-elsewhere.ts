/**
 * Rebuilds logs in a process of its own, which has another time zone and another language:
 *
 *   node dist/test/support/rebuild-elsewhere.js <database>
 *
 * Whoever started it with a channel sends it logs, and gets the dumps of the tables that follow.
 */
import { openDatabase } from '../../src/database.ts';
import { memoryStore } from '../../src/store/memory.ts';
import type { Placed } from '../../src/store/stored-event.ts';
import { type Dumps, rebuiltTables } from './rebuilt-tables.ts';

export interface FromElsewhere {
  readonly dumps: Dumps;
  /** Of the process, as it sees them itself. */
  readonly language: string;
  readonly offsetMinutes: number;
}

const BATCH_MAX = 64;
const database = openDatabase({ url: process.argv[2]!, poolMax: 6, applicationName: 'elsewhere' });
const tables = await rebuiltTables(database.pool, 'elsewhere');

process.on('message', (stored: readonly Placed[]) => void answer(stored));
process.on('disconnect', () => void database.close());
process.send?.('ready');

async function answer(stored: readonly Placed[]): Promise<void> {
  const store = memoryStore({ now: () => new Date().toISOString(), stored });
  const dumps = await tables.from(store, BATCH_MAX);
  const { locale: language } = new Intl.DateTimeFormat().resolvedOptions();
  const offsetMinutes = new Date('2026-01-01T00:00:00Z').getTimezoneOffset();
  process.send?.({ dumps, language, offsetMinutes } satisfies FromElsewhere);
}
