/** What a process and everything below it used, from /proc; null where there is no /proc. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Usage {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
}

const PAGES_FIELD = 1;

/** User and system time of the given processes and their descendants, ended and waited-for ones included. */
export function cpuMs(roots: readonly number[]): number | null {
  if (!existsSync('/proc/self/stat')) return null;
  let ticks = 0;
  for (const usage of familyOf(roots)) ticks += usage.ticks;
  return (ticks * 1000) / ticksPerSecond();
}

/** Resident memory of one process, in MB (10^6 bytes). */
export function memoryMb(pid: number): number | null {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[PAGES_FIELD]);
    return (pages * 4096) / 1e6;
  } catch {
    return null;
  }
}

/** Postgres is nobody's child once started: it is found by the file it keeps in its data folder. */
export function postgresPids(folder: string): number[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('postmaster.pid'))
    .map((path) => Number(readFileSync(join(folder, path), 'latin1').split('\n')[0]));
}

function familyOf(roots: readonly number[]): Usage[] {
  const usages = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(usageOf)
    .filter((usage) => usage !== null);
  const family = new Set(roots);
  for (let before = -1; before !== family.size; ) {
    before = family.size;
    for (const { pid, parent } of usages) if (family.has(parent)) family.add(pid);
  }
  return usages.filter(({ pid }) => family.has(pid));
}

function usageOf(pid: string): Usage | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may hold anything; what follows it is numbers, beginning with field 3.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    return { pid: Number(pid), parent: Number(fields[1]), ticks };
  } catch {
    return null;
  }
}

let clockTicks: number | null = null;

function ticksPerSecond(): number {
  clockTicks ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return clockTicks;
}
