/**
 * Kills invoice runs at every step of theirs and says whether each month was invoiced all the same: numbers without
 * gaps, every nano on one invoice, nothing that was final changed by a byte.
 *
 *   node dist/test/chaos/invoices.js [--kills <n>] [--processes <n>] [--lanes <n>] [--agencies <n>] [--tenants <n>]
 *     [--months <n>] [--seed <n>] [--json]      default: 50 kills, 8 processes with 4 runs each
 *
 * PostgreSQL is an embedded one. Exit code 1 when a promise was broken.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded-postgres.ts';
import { killInvoiceRuns } from './invoice-run-kills.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    processes: { type: 'string', default: '8' },
    lanes: { type: 'string', default: '4' },
    agencies: { type: 'string', default: '4' },
    tenants: { type: 'string', default: '25' },
    months: { type: 'string', default: '4' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    json: { type: 'boolean', default: false },
  },
});
/** No kill was followed by a broken promise: what that says about the next one, at 95 %. */
const RULE_OF_THREE = 3;
const VIOLATIONS_SHOWN = 20;

const numbers = Object.fromEntries(
  (['kills', 'processes', 'lanes', 'agencies', 'tenants', 'months', 'seed'] as const).map((name) => {
    const number = Number(values[name]);
    if (!Number.isSafeInteger(number) || number < 1) throw new Error(`--${name} is a whole number from 1 on`);
    return [name, number];
  }),
) as Record<'kills' | 'processes' | 'lanes' | 'agencies' | 'tenants' | 'months' | 'seed', number>;

const dataDir = await mkdtemp(join(tmpdir(), `keyledger-chaos-${process.pid}-`));
try {
  const { url } = await startEmbeddedPostgres({ dataDir, durable: false });
  const progress = (line: string): void => void process.stderr.write(`${line}\n`);
  const result = await killInvoiceRuns({ ...numbers, url, progress });
  const { kills, places, invoices, seconds, violations } = result;
  if (values.json) console.log(JSON.stringify({ seed: numbers.seed, ...result }, null, 2));
  else {
    console.log(`${invoices} invoices, ${kills} kills in ${seconds} s, seed ${numbers.seed}`);
    for (const [place, count] of Object.entries(places)) console.log(`  ${count} ${place}`);
    for (const violation of violations.slice(0, VIOLATIONS_SHOWN)) console.log(`  BROKEN ${violation}`);
    const bound = ((RULE_OF_THREE / kills) * 100).toFixed(1);
    const whole = `passed: one invoice each, numbers without gaps, every nano once, nothing changed (less than ${bound} % of kills, at 95 %)`;
    console.log(violations.length > 0 ? `FAILED: ${violations.length} promises broken` : whole);
  }
  if (violations.length > 0) process.exitCode = 1;
} finally {
  await removeEmbeddedPostgres(dataDir);
  await rm(dataDir, { recursive: true, force: true });
}
