import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert, asyncProperty, integer, nat } from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSpool, readSpool, type Spool } from '../../src/gateway/spool.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keyledger-spool-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

const open = (writerId = 'w1', segmentBytesMax = 1_000_000): Spool =>
  openSpool({ dir, writerId, segmentBytesMax, header: () => 'header', nowMs: () => 0 });
const durable = (spool: Spool, text: string): Promise<Error | null> =>
  new Promise((resolve) => spool.add(text, resolve));
const recordsOf = (writerId = 'w1') =>
  readSpool(dir)
    .get(writerId)!
    .flatMap(({ records }) => records);

describe('a spool', () => {
  test('gives back what was added, in order, whatever is in it', async () => {
    const texts = ['a', 'ä€😀', '"{}\\', ' '.repeat(10_000), '{"a":1}'];
    const spool = open();
    await Promise.all(texts.map((text) => durable(spool, text)));
    expect(recordsOf()).toEqual(['header', ...texts]);
  });

  test('keeps writers apart and segments in order', async () => {
    const one = open('w-1', 64);
    const two = open('w-2', 64);
    for (let i = 0; i < 30; i += 1) await Promise.all([durable(one, `one ${i}`), durable(two, `two ${i}`)]);
    const texts = recordsOf('w-1').filter((text) => text !== 'header');
    expect(texts).toEqual(Array.from({ length: 30 }, (_, i) => `one ${i}`));
    expect(readSpool(dir).get('w-2')!.length).toBeGreaterThan(5);
  });

  test('never loses a record of a segment that is still needed', async () => {
    const spool = open('w1', 128);
    const firsts: number[] = [];
    for (let i = 0; i < 40; i += 1) {
      firsts.push(spool.add(`record ${i}`, null));
      if (i % 3 === 0) await durable(spool, `barrier ${i}`);
    }
    const needed = `w1-${String(firsts[20]).padStart(6, '0')}.spool`;
    spool.release(firsts[20]!);
    // Files go after their release, in no particular order.
    while ((await readdir(dir)).some((name) => name < needed)) await new Promise(setImmediate);
    const left = recordsOf();
    for (let i = 20; i < 40; i += 1) expect(left).toContain(`record ${i}`);
    expect(left).not.toContain('record 0');
  });

  test('cut off at any byte gives back whole records only, from the front', async () => {
    const texts = Array.from({ length: 8 }, (_, i) => `record ${i} ü`);
    const spool = open();
    await Promise.all(texts.map((text) => durable(spool, text)));
    const [name] = await readdir(dir);
    const path = join(dir, name!);
    const whole = await readFile(path);
    for (let length = whole.length; length >= 0; length -= 1) {
      await truncate(path, length);
      const [segment] = readSpool(dir).get('w1')!;
      expect(segment!.records).toEqual(['header', ...texts].slice(0, segment!.records.length));
      const kept = segment!.records.reduce((bytes, text) => bytes + Buffer.byteLength(text) + 9, 0);
      expect(kept + segment!.tornBytes).toBe(length);
    }
  });

  test('with any byte changed gives back nothing that was not added', async () => {
    const texts = Array.from({ length: 8 }, (_, i) => `record ${i}`);
    const spool = open();
    await Promise.all(texts.map((text) => durable(spool, text)));
    const [name] = await readdir(dir);
    const path = join(dir, name!);
    const whole = await readFile(path);
    await assert(
      asyncProperty(nat(whole.length - 1), integer({ min: 1, max: 255 }), async (at, by) => {
        const damaged = Buffer.from(whole);
        damaged[at] = damaged[at]! ^ by;
        await writeFile(path, damaged);
        const [segment] = readSpool(dir).get('w1')!;
        expect(segment!.records).toEqual(['header', ...texts].slice(0, segment!.records.length));
        expect(segment!.tornBytes).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });

  test('damaged in a segment that was finished is not passed over', async () => {
    const spool = open('w1', 64);
    for (let i = 0; i < 20; i += 1) await durable(spool, `record ${i}`);
    const [first] = (await readdir(dir)).toSorted();
    await appendFile(join(dir, first!), 'torn');
    expect(() => readSpool(dir)).toThrow(`${join(dir, first!)} is damaged`);
  });

  test('can be read by nobody else on the machine', async () => {
    open();
    const [name] = await readdir(dir);
    expect((await stat(join(dir, name!))).mode & 0o777).toBe(0o600);
  });

  test('that never was is empty', () => {
    expect(readSpool(join(dir, 'nothing')).size).toBe(0);
  });
});
