/**
 * Builds the console into dist/ui, only when something it is made from has changed: a start of the
 * program waits for it. What it was made from is noted beside the result, as a hash of all contents.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const sources = import.meta.dirname;
const root = join(sources, '..', '..');
const stamp = join(root, 'dist', 'ui', '.made-from');

const hash = createHash('sha256').update(readFileSync(join(root, 'package-lock.json')));
const names = readdirSync(sources, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && !entry.parentPath.includes('screenshots'))
  .map((entry) => join(entry.parentPath, entry.name))
  .toSorted();
for (const name of names) hash.update(name.slice(sources.length)).update(readFileSync(name));
const madeFrom = hash.digest('hex');

if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== madeFrom) {
  const { build } = await import('vite');
  await build({ configFile: join(sources, 'vite.config.ts') });
  writeFileSync(stamp, madeFrom);
}
