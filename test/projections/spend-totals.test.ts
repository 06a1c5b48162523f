import { expect, test } from 'vitest';
import { spendTotals } from '../../projections/spend-totals.ts';
import { spendRecorded } from '../support/events.ts';
import { project } from '../support/project.ts';

const LATER = '2026-11-21T10:00:00.000Z';

test('a request counts once for its key, tenant, project, user, member, end user and tags', () => {
  const one = {
    requests: 1n,
    input_tokens: 1_000n,
    output_tokens: 200n,
    price_nanos: 262_500n,
    cost_nanos: 218_750n,
  };
  const rows = project(spendTotals, [
    spendRecorded({ userId: 'usr_1', endUser: 'c/1', tags: ['blue', 'blue'] }),
  ]);
  expect(rows.map(({ level, id }) => `${level} ${id}`)).toEqual([
    'key key_1',
    'tenant ten_1',
    'project prj_1',
    'user usr_1',
    'member prj_1/usr_1',
    'end-user ten_1/c/1',
    'tag ten_1/blue',
  ]);
  for (const row of rows) expect(row).toMatchObject(one);
});

test('a key without project and user counts for itself and its tenant only', () => {
  const rows = project(spendTotals, [spendRecorded({ projectId: null, userId: null })]);
  expect(rows.map(({ level }) => level)).toEqual(['key', 'tenant']);
});

test('sums are exact beyond 64 bits, and the last request recorded gives the time', () => {
  const huge = 2n ** 63n;
  const rows = project(spendTotals, [
    spendRecorded({ priceNanos: huge }),
    spendRecorded({ requestId: 'req_2', priceNanos: huge + 1n, admittedAt: LATER }),
  ]);
  expect(rows[0]).toMatchObject({ level: 'key', requests: 2n, price_nanos: 2n ** 64n + 1n, last_at: LATER });
});

test('the same id on two levels is two rows', () => {
  const rows = project(spendTotals, [spendRecorded({ keyId: 'x', projectId: 'x' })]);
  expect(rows.map(({ level, id, requests }) => [level, id, requests])).toEqual([
    ['key', 'x', 1n],
    ['tenant', 'ten_1', 1n],
    ['project', 'x', 1n],
  ]);
});
