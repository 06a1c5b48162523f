import { postgresStore } from '../../src/store/postgres.ts';
import type { TestDatabase } from '../support/database.ts';
import { agencyRegistered } from '../support/events.ts';
import { appendNew } from '../support/log.ts';
import { silent } from '../support/read-models.ts';

/** The database of an installation that has begun a log in it. */
export async function beginOwnLog({ pool }: TestDatabase): Promise<void> {
  const store = postgresStore({ pool, listenUrl: null, log: silent });
  await appendNew(store, agencyRegistered());
  await store.close();
}
