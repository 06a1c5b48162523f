import { eventStoreDb } from '../../src/store/eventstoredb.ts';
import { startStandIn } from '../support/eventstoredb/stand-in.ts';
import { eventStoreContract } from './contract.ts';
import { insertPlaced } from './eventstoredb-log.ts';
import { silent } from './postgres-log.ts';

/** A real server, emptied of nothing: what earlier runs left in it stays. */
const realUrl = process.env['EVENTSTORE_TEST_URL'];

if (realUrl === undefined) {
  eventStoreContract('EventStoreDB, by its stand-in', {
    gapless: false,
    comparesHashes: true,
    keepsForeign: false,
    async open(stored = []) {
      const server = await startStandIn();
      await insertPlaced(server.url, stored);
      const [store, other] = [0, 1].map(() => eventStoreDb({ url: server.url, log: silent }));
      const close = async (): Promise<void> => {
        await Promise.all([store!.close(), other!.close()]);
        server.stop();
      };
      return { store: store!, other: other!, start: 0n, close };
    },
  });
} else {
  eventStoreContract('EventStoreDB', {
    gapless: false,
    comparesHashes: true,
    keepsForeign: true,
    async open(stored = []) {
      const [store, other] = [0, 1].map(() => eventStoreDb({ url: realUrl, log: silent }));
      const start = await store!.head();
      await insertPlaced(realUrl, stored);
      const close = async (): Promise<void> => {
        await Promise.all([store!.close(), other!.close()]);
      };
      return { store: store!, other: other!, start, close };
    },
  });
}
