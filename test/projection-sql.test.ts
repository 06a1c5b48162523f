import { describe, expect, test } from 'vitest';
import { spendLog } from '../projections/spend-log.ts';
import { spendTotals } from '../projections/spend-totals.ts';
import { keys } from '../projections/keys.ts';
import { usage } from '../projections/usage.ts';
import type { DomainEvent } from '../src/events.ts';
import { defineProjection, type Projection } from '../src/projection.ts';
import { statementsFor, tableDdl } from '../src/projection-sql.ts';
import {
  keyBlocked,
  keyGenerated,
  keyRotated,
  periodClosed,
  recordedAll,
  spendRecorded,
} from './support/events.ts';

function statements(projection: Projection, events: readonly DomainEvent[]) {
  const changes = recordedAll(events).flatMap((recorded) => projection.apply(recorded));
  return statementsFor(projection, 't', changes).map(({ text, values }) => ({
    verb: text.split(' ', 1)[0],
    rows: rowsIn(text, values),
  }));
}

/** The rows that a statement's arrays stand for: one array per column. */
function rowsIn(text: string, values: readonly (string | null)[]): readonly Record<string, string | null>[] {
  const names = /as u\(([^)]*)\)/
    .exec(text)![1]!
    .split(', ')
    .map((name) => name.slice(1, -1));
  const columns = names.map((_, i) => elementsOf(values[i]!));
  return columns[0]!.map((_, row) => Object.fromEntries(names.map((name, i) => [name, columns[i]![row]!])));
}

function elementsOf(array: string): readonly (string | null)[] {
  const elements = array.slice(1, -1).match(/"(?:[^"\\]|\\.)*"|[^,]+/g) ?? [];
  return elements.map((element) => {
    if (element === 'NULL') return null;
    return element.startsWith('"') ? element.slice(1, -1).replaceAll(/\\(.)/g, '$1') : element;
  });
}

const spends = Array.from({ length: 100 }, (_, i) =>
  spendRecorded({ requestId: `req_${i}`, priceNanos: 10n ** 18n }),
);

describe('a batch of events becomes few statements', () => {
  test('additions to the same row are summed first', () => {
    const [one, ...more] = statements(spendTotals, spends);
    expect(more).toEqual([]);
    expect(one?.rows).toHaveLength(3);
    expect(one?.rows[0]).toMatchObject({
      level: 'key',
      id: 'key_1',
      requests: '100',
      price_nanos: `1${'0'.repeat(20)}`,
    });
  });

  test('new rows go in together', () => {
    const all = statements(spendLog, spends);
    expect(all.map(({ verb, rows }) => [verb, rows.length])).toEqual([['insert', 100]]);
  });

  test('changes of a row that the same batch makes are part of the new row', () => {
    const all = statements(keys, [keyGenerated(), keyBlocked(), keyRotated(), keyRotated()]);
    expect(all).toMatchObject([{ verb: 'insert', rows: [{ status: 'blocked', rotations: '2' }] }]);
  });

  test('like changes of several rows are one statement', () => {
    const all = statements(keys, [
      keyBlocked({ keyId: 'key_1' }),
      keyRotated({ keyId: 'key_2' }),
      keyBlocked({ keyId: 'key_3' }),
    ]);
    expect(all.map(({ verb, rows }) => [verb, rows.length])).toEqual([
      ['update', 2],
      ['update', 1],
    ]);
  });

  test('a change of all rows that match comes after what precedes it and before what follows', () => {
    const all = statements(usage, [spendRecorded(), spendRecorded(), periodClosed(), spendRecorded()]);
    expect(all.map(({ verb, rows }) => [verb, rows.length])).toEqual([
      ['insert', 3],
      ['update', 1],
      ['insert', 3],
    ]);
  });

  test('two new rows with the same key stay two, so that the table refuses the second', () => {
    const written = statements(keys, [keyGenerated(), keyGenerated()]);
    expect(written.flatMap(({ rows }) => rows)).toHaveLength(2);
  });
});

test('text sorts by code point in every database', () => {
  const [table] = tableDdl(usage, 'usage__v1');
  expect(table).toContain('"month" text collate "C" not null');
  expect(table).toContain('"price_nanos" numeric not null');
});

describe('a definition is checked by the compiler', () => {
  const columns = { id: 'text', total: 'sum', last_at: 'instant', note: 'text?' } as const;
  const define = { name: 'sample', version: 1, columns } as const;

  test('which knows the columns of each change', () => {
    const key = { id: 'a' };
    defineProjection({
      ...define,
      key: ['id'],
      on: {
        'key.blocked': () => ({ op: 'add', key, by: { total: 1n }, set: { last_at: '', note: null } }),
        // @ts-expect-error a missing row would have no last_at
        'key.unblocked': () => ({ op: 'add', key, by: { total: 1n }, set: { note: null } }),
        // @ts-expect-error every sum is named
        'key.deleted': () => ({ op: 'add', key, by: {}, set: { last_at: '', note: null } }),
        // @ts-expect-error a new row has all columns
        'key.generated': () => ({ op: 'insert', row: { id: 'a', total: 0n, note: null } }),
        // @ts-expect-error sums are added to, not set
        'key.changed': () => ({ op: 'update', where: key, set: { total: 1n } }),
        // @ts-expect-error last_at is never null
        'key.rotated': () => ({ op: 'update', where: key, set: { last_at: null } }),
      },
    });
    // @ts-expect-error a key is made of columns
    expect(defineProjection({ ...define, key: ['other'], on: {} }).key).toEqual(['other']);
  });

  test('and its names when it is made', () => {
    expect(() => defineProjection({ ...define, name: 'a"; drop', key: ['id'], on: {} })).toThrow(
      'not a name',
    );
  });
});
