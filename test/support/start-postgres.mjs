// Starts an embedded PostgreSQL and waits to be killed: node start-postgres.mjs <data folder>
// Runs what `npm run build` made, because the oldest supported Node.js does not read TypeScript.
import { startEmbeddedPostgres } from '../../dist/src/embedded-postgres.js';

const { url, pid } = await startEmbeddedPostgres({ dataDir: process.argv[2], durable: true });
console.log(JSON.stringify({ url, pid }));
setInterval(() => {}, 1_000);
