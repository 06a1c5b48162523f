import { afterAll, beforeAll } from 'vitest';
import { postgresStore } from '../../src/store/postgres.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { eventStoreContract } from './contract.ts';
import { emptyLog, insertPlaced, silent } from './postgres-log.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database?.drop());

eventStoreContract('PostgreSQL', {
  gapless: true,
  comparesHashes: true,
  async open(stored = []) {
    const { pool, url } = database;
    await emptyLog(pool);
    await insertPlaced(pool, stored);
    const [store, other] = [0, 1].map(() => postgresStore({ pool, listenUrl: url, log: silent }));
    return {
      store: store!,
      other: other!,
      start: 0n,
      close: async () => {
        await Promise.all([store!.close(), other!.close()]);
      },
    };
  },
});
