/**
 * Kills the process that collects invoices at any step of its own, while Stripe, a stand-in, answers 500 after it has
 * done what it was asked for, loses answers, is busy, and tells everything ten times over in any order or not at all;
 * then says whether each invoice was made and charged once, and whether both sides agree.
 *
 *   node dist/test/chaos/stripe.js [--kills <n>] [--seed <n>] [--json]      default: 300 kills
 *
 * Exit code 1 when a promise was broken.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded-postgres.ts';
import { killCollectors } from './stripe-kills.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '300' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    json: { type: 'boolean', default: false },
  },
});
/** No kill was followed by a broken promise: what that says about the next one, at 95 %. */
const RULE_OF_THREE = 3;
const VIOLATIONS_SHOWN = 20;
const [kills, seed] = [Number(values.kills), Number(values.seed)];
if (!Number.isSafeInteger(kills) || kills < 1) throw new Error('--kills is a whole number from 1 on');

const dataDir = await mkdtemp(join(tmpdir(), `keyledger-chaos-${process.pid}-`));
try {
  const { url } = await startEmbeddedPostgres({ dataDir, durable: false });
  const progress = (line: string): void => void process.stderr.write(`${line}\n`);
  const result = await killCollectors({ url, kills, seed, progress });
  const { places, fates, violations } = result;
  if (values.json) console.log(JSON.stringify({ seed, ...result }, null, 2));
  else {
    console.log(
      `${result.invoices} invoices, ${result.kills} kills, ${result.faults} faults, ${result.webhooks} webhooks in ${result.seconds} s, seed ${seed}`,
    );
    console.log(`  fates: ${list(fates)}`);
    console.log(`  died: ${list(places)}`);
    console.log(`  everything agreed ${result.reconciledSeconds} s after the last kill`);
    for (const violation of violations.slice(0, VIOLATIONS_SHOWN)) console.log(`  BROKEN ${violation}`);
    const bound = ((RULE_OF_THREE / kills) * 100).toFixed(1);
    const whole = `passed: one invoice, one charge, both sides agree (less than ${bound} % of kills, at 95 %)`;
    console.log(violations.length > 0 ? `FAILED: ${violations.length} promises broken` : whole);
  }
  if (violations.length > 0) process.exitCode = 1;
} finally {
  await removeEmbeddedPostgres(dataDir);
  await rm(dataDir, { recursive: true, force: true });
}

function list(numbers: Readonly<Record<string, number>>): string {
  return Object.entries(numbers)
    .map(([name, number]) => `${name} ${number}`)
    .join(', ');
}
