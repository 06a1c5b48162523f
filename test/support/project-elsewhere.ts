/**
 * Keeps read models current in a process of its own, so that it can be killed:
 *
 *   node dist/test/support/project-elsewhere.js <database>
 *
 * Tells whoever started it with a channel once it writes all of them.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { openDatabase } from '../../src/database.ts';
import { createLog } from '../../src/log.ts';
import { startProjector } from '../../src/projector.ts';
import { readModels } from '../../src/read-models.ts';
import { postgresStore } from '../../src/store/postgres.ts';

const PROBE_MS = 10;
const log = createLog('silent');
const { pool } = openDatabase({ url: process.argv[2]!, poolMax: 16, applicationName: 'elsewhere' });
const store = postgresStore({ pool, listenUrl: null, pollMs: 20, log });
const projector = await startProjector({ store, pool, projections: readModels, log, idleGatherMs: 0 });
while (!projector.status().every(({ writes }) => writes)) await pause(PROBE_MS);
process.send?.('writing');
