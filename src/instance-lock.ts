/**
 * One Keyledger per data folder. A lock is a file `keyledger.lock.<n>` with a process id; the one with
 * the highest number counts. It outlives a process that is killed, so a lock whose process is gone is
 * taken over by creating the next number, which only one of many can do. Removing or overwriting the
 * old file instead would let two in that found it at the same time.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface InstanceLock {
  /** Frees the folder; the file stays, empty, so that numbers only ever grow. */
  release(): Promise<void>;
}

const FILE = 'keyledger.lock.';

/** Throws a sentence for the operator when another live process holds this folder. */
export async function lockInstance(dataDir: string): Promise<InstanceLock> {
  await mkdir(dataDir, { recursive: true });
  const mine = identityOf(process.pid);
  const draft = join(dataDir, `lock-draft-${randomBytes(6).toString('hex')}`);
  await writeFile(draft, mine, { mode: 0o600 });
  try {
    for (;;) {
      const highest = Math.max(0, ...(await numbersIn(dataDir)));
      const held = await readFile(join(dataDir, FILE + highest), 'utf8').catch(() => '');
      const pid = Number.parseInt(held, 10);
      if (held !== '' && held !== mine && identityOf(pid) === held) throw new Error(inUse(dataDir, pid));
      const file = join(dataDir, FILE + (highest + 1));
      if (!(await linked(draft, file))) continue;
      const numbers = await numbersIn(dataDir);
      const older = numbers.filter((number) => number <= highest);
      if (older.length + 1 === numbers.length) {
        await Promise.all(older.map((number) => rm(join(dataDir, FILE + number), { force: true })));
        return { release: () => writeFile(file, '') };
      }
      // Somebody was through with this number long ago and a higher one counts.
      await rm(file, { force: true });
    }
  } finally {
    await rm(draft, { force: true });
  }
}

/** Whether this process has the folder. */
export async function holdsInstance(dataDir: string): Promise<boolean> {
  const highest = Math.max(0, ...(await numbersIn(dataDir).catch(() => [])));
  const held = await readFile(join(dataDir, FILE + highest), 'utf8').catch(() => '');
  return held === identityOf(process.pid);
}

function inUse(dataDir: string, pid: number): string {
  return (
    `Another Keyledger (process ${pid}) is using ${dataDir}. ` +
    `Stop it, or give this one a folder of its own with KEYLEDGER_DATA_DIR.`
  );
}

async function numbersIn(dataDir: string): Promise<readonly number[]> {
  const names = await readdir(dataDir);
  return names.filter((name) => name.startsWith(FILE)).map((name) => Number(name.slice(FILE.length)));
}

/** The process id and when that process began: a number alone is given out again. '' when it is gone. */
export function identityOf(pid: number): string {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (!hasCode(error, 'EPERM')) return '';
  }
  // Linux only. After the command in parentheses come the state and, 19 fields on, the start time.
  const status = statusOf(pid);
  const fields = status.slice(status.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z') return '';
  return `${pid}\n${fields[19] ?? ''}\n`;
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return '';
  }
}

/** A link appears with its content and only if there is none yet, unlike a file that is written. */
async function linked(draft: string, file: string): Promise<boolean> {
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
