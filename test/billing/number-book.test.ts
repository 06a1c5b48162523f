import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type NumberBook, openNumberBook } from '../../src/billing/number-book.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { memoryStore } from '../../src/store/memory.ts';

const numbering = {
  agencyId: 'age_1',
  series: 'RE',
  zone: 'Europe/Berlin',
  cause: {
    agencyId: 'age_1',
    actor: { kind: 'system', id: 'test' },
    correlationId: 'run',
    causationId: 'close',
  },
} as const;
const YEARS = { from: '2026', to: '2027' };
const openStore = () => memoryStore({ now: () => '2026-12-01T08:00:00.000Z' });
const open = (store: EventStore, now = '2026-12-01T08:00:00.000Z') =>
  openNumberBook({ store, now: () => now }, numbering, YEARS);

async function placesIn(store: EventStore): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { event } of store.readStream('numbers-age_1-RE-2026')) {
    if (event.type === 'number.assigned') found.push(event.data.invoiceId);
  }
  return found;
}

describe('a book of invoice numbers', () => {
  test('of which many write one series at once gives each invoice one number, without a gap', async () => {
    const asking = fc.array(fc.tuple(fc.nat(7), fc.nat(15)), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(asking, async (asks) => {
        const store = openStore();
        const books = await Promise.all(Array.from({ length: 8 }, () => open(store)));
        const given = await Promise.all(asks.map(([book, n]) => books[book]!.assign(`inv_${n}`)));
        const places = await placesIn(store);
        expect(places.toSorted()).toEqual([...new Set(asks.map(([, n]) => `inv_${n}`))].toSorted());
        for (const [i, [, n]] of asks.entries()) {
          const place = places.indexOf(`inv_${n}`) + 1;
          expect(given[i]!.number).toBe(`RE-2026-${String(place).padStart(5, '0')}`);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('dates a number by the moment of its assignment, whoever asks later', async () => {
    const store = openStore();
    const stale = await open(store, '2026-12-09T08:00:00.000Z');
    await (await open(store)).assign('inv_1');
    expect(await stale.assign('inv_1')).toEqual({
      number: 'RE-2026-00001',
      at: '2026-12-01T08:00:00.000Z',
    });
  });

  test('finds what it wrote without an answer, and goes on behind it', async () => {
    const store = openStore();
    let lost = 0;
    const failing: EventStore = {
      ...store,
      async append(writes) {
        const appended = await store.append(writes);
        lost += 1;
        if (lost % 2 === 1) throw new Error('the answer is lost');
        return appended;
      },
    };
    const book: NumberBook = await open(failing);
    const numbers = [await book.assign('inv_1'), await book.assign('inv_2'), await book.assign('inv_1')];
    expect(numbers.map(({ number }) => number)).toEqual(['RE-2026-00001', 'RE-2026-00002', 'RE-2026-00001']);
    expect(await placesIn(store)).toEqual(['inv_1', 'inv_2']);
  });

  test('begins a series anew with the year in the zone of the agency, and keeps what was assigned before', async () => {
    const store = openStore();
    await (await open(store)).assign('inv_1');
    const later = await open(store, '2026-12-31T23:30:00.000Z');
    expect(later.numberOf('inv_1')?.number).toBe('RE-2026-00001');
    expect(later.numberOf('inv_2')).toBeNull();
    expect((await later.assign('inv_2')).number).toBe('RE-2027-00001');
    expect((await later.assign('inv_1')).number).toBe('RE-2026-00001');
  });

  test('reads its series once, however many numbers it gives', async () => {
    const store = openStore();
    let read = 0;
    const counting: EventStore = {
      ...store,
      async *readStream(stream, after) {
        for await (const event of store.readStream(stream, after)) {
          read += 1;
          yield event;
        }
      },
    };
    const first = await open(counting);
    for (let n = 0; n < 50; n += 1) await first.assign(`inv_${n}`);
    expect(read).toBe(0);
    const second = await open(counting);
    for (let n = 50; n < 100; n += 1) await second.assign(`inv_${n}`);
    expect(read).toBe(50);
  });
});
