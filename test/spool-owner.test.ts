import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { noteSpoolOwner, requireOwnSpool } from '../src/spool-owner.ts';
import type { EventStore } from '../src/store/event-store.ts';
import type { Placed } from '../src/store/stored-event.ts';

let data: string;
let dir: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'keyledger-owner-'));
  dir = join(data, 'spool');
  await mkdir(dir);
});
afterEach(() => rm(data, { recursive: true }));

function logThatBeginsWith(...hashes: readonly string[]): Pick<EventStore, 'readLog'> {
  return {
    async *readLog() {
      for (const hash of hashes) yield { hash } as Placed;
    },
  };
}
const leaveUsage = () => writeFile(join(dir, 'w1-000001.spool'), '');

test('usage that a spool holds only goes to the log that it was written for', async () => {
  await noteSpoolOwner(dir, logThatBeginsWith('aa', 'bb'));
  await leaveUsage();
  await expect(requireOwnSpool(dir, logThatBeginsWith('aa', 'cc'))).resolves.toBeUndefined();
  await expect(requireOwnSpool(dir, logThatBeginsWith('dd'))).rejects.toThrow('usage of another log');
  await expect(requireOwnSpool(dir, logThatBeginsWith())).rejects.toThrow('usage of another log');
});

test('a data folder whose spool is empty may serve another log', async () => {
  await noteSpoolOwner(dir, logThatBeginsWith('aa'));
  await requireOwnSpool(dir, logThatBeginsWith('dd'));
  await noteSpoolOwner(dir, logThatBeginsWith('dd'));
  await leaveUsage();
  await requireOwnSpool(dir, logThatBeginsWith('dd'));
  await expect(requireOwnSpool(dir, logThatBeginsWith('aa'))).rejects.toThrow('usage of another log');
});

test('a spool from before its owner was noted is taken as it is', async () => {
  await noteSpoolOwner(dir, logThatBeginsWith());
  await leaveUsage();
  await expect(requireOwnSpool(dir, logThatBeginsWith('aa'))).resolves.toBeUndefined();
});
