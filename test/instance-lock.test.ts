import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockInstance } from '../src/instance-lock.ts';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyledger-lock-'));
  file = join(folder, 'keyledger.lock.7');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** The lock as another, live process writes it. */
async function lockOf(pid: number | undefined): Promise<string> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return `${pid}\n${status.slice(status.lastIndexOf(')') + 2).split(' ')[19] ?? ''}\n`;
}

test('a lock names its process until it is released, and can be had again then', async () => {
  for (const number of [1, 2]) {
    const lock = await lockInstance(folder);
    expect(await readdir(folder)).toEqual([`keyledger.lock.${number}`]);
    expect(Number.parseInt(await readFile(join(folder, `keyledger.lock.${number}`), 'utf8'), 10)).toBe(
      process.pid,
    );
    await lock.release();
    expect(await readFile(join(folder, `keyledger.lock.${number}`), 'utf8')).toBe('');
  }
});

test('a live process keeps its lock, and the refusal names it and the setting that helps', async () => {
  const other = spawn('sleep', ['60'], { stdio: 'ignore' });
  await writeFile(file, await lockOf(other.pid));
  try {
    await expect(lockInstance(folder)).rejects.toThrow(
      new RegExp(`process ${other.pid}.*KEYLEDGER_DATA_DIR`),
    );
  } finally {
    other.kill();
  }
  expect(await readdir(folder)).toEqual(['keyledger.lock.7']);
});

test('the lock of a process that is gone is taken over', async () => {
  const other = spawn('sleep', ['60'], { stdio: 'ignore' });
  const held = await lockOf(other.pid);
  other.kill();
  await once(other, 'exit');
  await writeFile(file, held);
  await lockInstance(folder);
  expect(await readdir(folder)).toEqual(['keyledger.lock.8']);
});

test.runIf(process.platform === 'linux')(
  'the lock of a dead process whose number somebody else has now is taken over',
  async () => {
    await writeFile(file, `${process.ppid}\n1\n`);
    await lockInstance(folder);
    expect(await readdir(folder)).toEqual(['keyledger.lock.8']);
  },
);

test('of several processes that find the lock of a dead one, exactly one gets it', async () => {
  await writeFile(file, '2147483646\n1\n');
  const script = join(import.meta.dirname, 'support', 'lock-instance.mjs');
  const children = Array.from({ length: 4 }, () =>
    spawn(process.execPath, [script, folder], { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  try {
    const answers = await Promise.all(
      children.map(async ({ stdout }) => String((await once(stdout, 'data'))[0]).trim()),
    );
    expect(answers.filter((answer) => answer === 'locked')).toHaveLength(1);
    expect(answers.filter((answer) => answer.includes('Another Keyledger'))).toHaveLength(3);
  } finally {
    for (const child of children) child.kill();
  }
});
