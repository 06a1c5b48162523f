import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sealHash, sealText } from '../../src/audit/seal.ts';
import { adoptKey, createSealer } from '../../src/audit/sealer.ts';
import { startSealing } from '../../src/audit/seal-schedule.ts';
import {
  drawNextKey,
  isSignedBy,
  publicKeyOf,
  settleNextKey,
  signingKeys,
  toPem,
} from '../../src/audit/signing-key.ts';
import { newStretch } from '../../src/audit/stretch.ts';
import type { Recorded } from '../../src/events.ts';
import { memoryStore } from '../../src/store/memory.ts';
import type { Placed } from '../../src/store/stored-event.ts';
import { keyBlocked, keyGenerated, keyUnblocked, periodClosed, spendRecorded } from '../support/events.ts';
import { all } from '../support/log.ts';
import { newKey, type SealedLog, sealedLog } from './sealed-log.ts';

const silent = pino({ level: 'silent' });
let log: SealedLog;

beforeEach(async () => {
  log = await sealedLog();
  await log.append('key-key_1', [keyGenerated(), keyBlocked()]);
  await log.append('spend-2026-11-w', [spendRecorded()]);
});

async function checkpoints(): Promise<readonly Recorded[]> {
  return await all(log.store.readStream('checkpoint'));
}

describe('a seal', () => {
  test('covers everything that is in the log, and is signed with the key in force', async () => {
    const [seal] = await log.sealer.seal();
    // The key itself, two events of one stream, one of another.
    expect(seal).toMatchObject({ position: 4n, after: 0n, heads: 3, keyId: log.keys[0]!.keyId });
    expect(isSignedBy(log.keys[0]!.publicKey, sealText(seal!), seal!.signature)).toBe(true);
    expect(seal!.hash).toBe(sealHash(seal!));
    const stretch = newStretch();
    for (const placed of (await all(log.store.readLog(0n))).slice(0, 4)) stretch.add(placed);
    expect(stretch.sum()).toMatchObject({ root: seal!.root, order: seal!.order });
  });

  test('continues the one before it and covers what came since, that one included', async () => {
    const [first] = await log.sealer.seal();
    await log.append('key-key_1', [keyUnblocked()]);
    const [second] = await log.sealer.seal();
    expect(second).toMatchObject({ position: 6n, after: 4n, heads: 2, previousSeal: first!.hash });
  });

  test('is not taken when nothing but a seal was added', async () => {
    await log.sealer.seal();
    expect(await log.sealer.seal()).toEqual([]);
    expect(await log.store.head()).toBe(5n);
  });

  test('is another one for every changed event, head or order', async () => {
    const stored = (await all(log.store.readLog(0n))).slice(1);
    const sums = (events: readonly Placed[]) => {
      const stretch = newStretch();
      for (const event of events) stretch.add(event);
      return JSON.stringify(stretch.sum());
    };
    const [a, b, c] = stored as [Placed, Placed, Placed];
    const changed = { ...a, hash: 'f'.repeat(64) };
    expect(
      new Set(
        [
          [a, b, c],
          [changed, b, c],
          [a, b],
          [c, a, b],
          [a, c, b],
        ].map(sums),
      ).size,
    ).toBe(5);
  });

  test('becomes several when there is too much for one, and they cover all of it', async () => {
    const sealer = createSealer({ ...log.deps, eventsMax: 2 });
    expect((await sealer.seal()).map(({ position }) => position)).toEqual([2n, 4n]);
    const narrow = createSealer({ ...log.deps, headsMax: 1 });
    await log.append('key-key_1', [keyUnblocked()]);
    await log.append('spend-2026-11-w', [spendRecorded()]);
    for (const { heads } of await narrow.seal()) expect(heads).toBe(1);
  });

  test('is the same when positions have gaps: it counts events', async () => {
    const sparse = {
      ...log.store,
      positions: 'increasing' as const,
      async *readLog(position: bigint) {
        for await (const placed of log.store.readLog(position / 10n))
          yield { ...placed, position: placed.position * 10n };
      },
    };
    const sealer = createSealer({ ...log.deps, store: sparse });
    expect((await sealer.seal())[0]).toMatchObject({ position: 4n });
    await log.append('key-key_1', [keyUnblocked()]);
    expect((await sealer.seal())[0]).toMatchObject({ position: 6n, after: 4n });
    await log.append('key-key_1', [keyBlocked()]);
    const another = createSealer({ ...log.deps, store: sparse });
    expect((await another.seal())[0]).toMatchObject({ position: 8n, after: 6n });
  });

  test('is never put on an altered event or over a hole', async () => {
    const stored = await all(log.store.readLog(0n));
    const altered = stored.map((placed) =>
      placed.position === 3n ? { ...placed, correlationId: 'x' } : placed,
    );
    const holed = stored.filter(({ position }) => position !== 3n);
    for (const [events, problem] of [
      [altered, 'position 3 was altered'],
      [holed, 'position 3 is missing'],
    ] as const) {
      const inner = memoryStore({ now: () => log.clock, stored: events });
      const store = { ...log.store, readLog: () => inner.readLog(0n) };
      await expect(createSealer({ ...log.deps, store }).seal()).rejects.toThrow(problem);
    }
    expect(await checkpoints()).toHaveLength(1);
  });
});

test('of several processes that seal at once, one does', async () => {
  const at = (second: number) => () => `2026-11-20T10:00:0${second}.000Z`;
  const others = [1, 2, 3].map((second) => createSealer({ ...log.deps, now: at(second) }));
  const taken = await Promise.all([log.sealer, ...others].map((sealer) => sealer.seal()));
  expect(taken.flat()).toHaveLength(1);
  expect(await checkpoints()).toHaveLength(2);
});

describe('the signing key', () => {
  let folder: string;
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'keyledger-key-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  test('is drawn once, kept for its owner only, and read back as the same', () => {
    const source = { configured: null, previous: null, dataDir: folder };
    const [drawn] = signingKeys(source);
    expect(signingKeys(source).map(({ keyId }) => keyId)).toEqual([drawn!.keyId]);
    const [file] = readdirSync(folder);
    expect(statSync(join(folder, file!)).mode & 0o777).toBe(0o600);
    expect(publicKeyOf(toPem(drawn!.publicKey))).toEqual({
      keyId: drawn!.keyId,
      publicKey: drawn!.publicKey,
    });
  });

  test('is handed over by the one before, and both signatures stand in the log', async () => {
    const [before] = log.keys;
    await log.sealer.seal();
    const next = newKey();
    log.keys = [next, before!];
    expect(await adoptKey(log.deps)).toBe(next.keyId);
    expect(await adoptKey(log.deps)).toBe(next.keyId);
    const [seal] = await log.sealer.seal();
    expect(seal!.keyId).toBe(next.keyId);
    const handOvers = (await checkpoints()).filter(({ event }) => event.type === 'log.key-rotated');
    expect(handOvers.map(({ event }) => event.data)).toMatchObject([
      { keyId: before!.keyId, previousKeyId: null, previousSignature: null },
      { keyId: next.keyId, previousKeyId: before!.keyId, previousSignature: expect.any(String) },
    ]);
  });

  test('of another installation is not taken over silently', async () => {
    log.keys = [newKey()];
    await expect(adoptKey(log.deps)).rejects.toThrow('not at hand');
    await expect(log.sealer.seal()).rejects.toThrow('not at hand');
    await adoptKey(log.deps, { force: true });
    expect((await log.sealer.seal())[0]).toMatchObject({ keyId: log.keys[0]!.keyId });
  });

  test('that is drawn is rotated with the next one beside it, whenever that is interrupted', async () => {
    const source = { configured: null, previous: null, dataDir: folder };
    const other = await sealedLog({ keys: () => signingKeys(source) });
    const [first] = signingKeys(source);
    drawNextKey(folder);
    drawNextKey(folder);
    await adoptKey(other.deps);
    const { key } = await other.sealer.state();
    expect(key).toMatchObject({ previousKeyId: first!.keyId, previousSignature: expect.any(String) });
    settleNextKey(folder);
    settleNextKey(folder);
    expect(signingKeys(source).map(({ keyId }) => keyId)).toEqual([key!.keyId]);
    expect(await adoptKey(other.deps)).toBe(key!.keyId);
  });
});

describe('the schedule', () => {
  const sealed = async (count: number) => {
    for (;;) if ((await checkpoints()).length === count) return;
  };

  test('seals at the start when it is due, and right after a period was closed', async () => {
    const { store, sealer } = log;
    const schedule = startSealing({ sealer, store, minutes: 60, now: () => log.clock, log: silent });
    try {
      await sealed(2);
      await log.append('period-age_1-2026-10', [periodClosed({ period: '2026-10' })], { tenantId: null });
      await sealed(3);
    } finally {
      await schedule.stop();
    }
    await log.append('key-key_1', [keyUnblocked()]);
    const again = startSealing({ sealer, store, minutes: 60, now: () => log.clock, log: silent });
    await again.stop();
    expect(await checkpoints()).toHaveLength(3);
    log.clock = '2026-11-20T11:00:00.000Z';
    const later = startSealing({ sealer, store, minutes: 60, now: () => log.clock, log: silent });
    await sealed(4);
    await later.stop();
  });

  test('is off with 0 minutes', async () => {
    const { store, sealer } = log;
    const schedule = startSealing({ sealer, store, minutes: 0, now: () => log.clock, log: silent });
    await log.append('period-age_1-2026-10', [periodClosed({ period: '2026-10' })], { tenantId: null });
    await schedule.stop();
    expect(await checkpoints()).toHaveLength(1);
  });
});
