import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { identityOf } from './instance-lock.ts';

/**
 * Whose spool belongs to a living process: beside the spool lies a file `<writer>.process` that says
 * which one. It is there before the first segment and goes when everything that the writer had
 * recorded is in the log and known to be.
 */
const SUFFIX = '.process';

/** Notes that this process writes under the id. */
export function markWriter(dir: string, writerId: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  writeFileSync(join(dir, writerId + SUFFIX), identityOf(process.pid), { mode: 0o600 });
}

export function unmarkWriter(dir: string, writerId: string): void {
  rmSync(join(dir, writerId + SUFFIX), { force: true });
}

export function isLivingWriter(dir: string, writerId: string): boolean {
  const held = readOrNothing(join(dir, writerId + SUFFIX));
  return held !== '' && identityOf(Number.parseInt(held, 10)) === held;
}

/** Writers of this folder whose process is gone. */
export function deadWriters(dir: string): readonly string[] {
  return namesIn(dir)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => name.slice(0, -SUFFIX.length))
    .filter((writerId) => !isLivingWriter(dir, writerId));
}

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return '';
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
