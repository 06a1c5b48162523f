/**
 * Runs the cases against a server: `npm run conformance -- --url http://… --master-key sk-…`.
 * `--case 44` runs one, `--quick` leaves out those that wait for a window to end. Exits with 1
 * when a case does not hold.
 */
import { parseArgs } from 'node:util';
import { sections } from './all.ts';
import { connect } from './case.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    'master-key': { type: 'string' },
    case: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
  },
});
const { url, 'master-key': masterKey, case: wanted, quick } = values;
if (url === undefined || masterKey === undefined) {
  throw new Error(
    'usage: npm run conformance -- --url <base url> --master-key <key> [--case <number>] [--quick]',
  );
}

const target = await connect({ url, masterKey });
const counts = { held: 0, failed: 0, left: 0 };
for (const [section, cases] of Object.entries(sections)) {
  console.log(section);
  for (const { id, title, run, slow = false } of cases) {
    const name = `case ${id}: ${title}`;
    if ((wanted !== undefined && !wanted.includes(id)) || (quick && slow)) {
      counts.left += 1;
      continue;
    }
    try {
      await run(target);
      counts.held += 1;
      console.log(`  holds    ${name}`);
    } catch (error) {
      const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
      counts.failed += 1;
      console.log(`  FAILS    ${name}: ${reason}`);
    }
  }
}
console.log(`${counts.held} hold, ${counts.failed} fail, ${counts.left} left out`);
process.exitCode = counts.failed > 0 ? 1 : 0;
