import { expect, test } from 'vitest';
import { spendLog } from '../../projections/spend-log.ts';
import { AT, recorded, spendRecorded, TOKEN_HASH } from '../support/events.ts';
import { project } from '../support/project.ts';

test('a request keeps every fact that was recorded about it', () => {
  const spend = spendRecorded({ userId: 'usr_1', endUser: 'shopper', tags: ['a', 'b"c'], stream: true });
  expect(
    project(spendLog, [recorded(spend, { position: 7n, recordedAt: '2026-11-20T10:00:01.000Z' })]),
  ).toEqual([
    {
      request_id: 'req_1',
      position: 7n,
      agency_id: 'age_1',
      tenant_id: 'ten_1',
      project_id: 'prj_1',
      key_id: 'key_1',
      token_hash: TOKEN_HASH,
      user_id: 'usr_1',
      end_user: 'shopper',
      tags: ['a', 'b"c'],
      route: 'chat/completions',
      model: 'gpt-4o-mini',
      deployment: 'upstream-1',
      stream: true,
      admitted_at: AT,
      recorded_at: '2026-11-20T10:00:01.000Z',
      month: '2026-11',
      outcome: 'completed',
      status: 200n,
      usage_source: 'reported',
      input_tokens: 1_000n,
      cached_input_tokens: 100n,
      output_tokens: 200n,
      reasoning_tokens: 0n,
      currency: 'EUR',
      price_nanos: 262_500n,
      cost_nanos: 218_750n,
      duration_ms: 840n,
      first_byte_ms: 210n,
      response_id: 'chatcmpl-1',
    },
  ]);
});

test('an absurdly long id from the upstream still fits the index', () => {
  const [row] = project(spendLog, [spendRecorded({ responseId: 'x'.repeat(100_000) })]);
  expect(row?.response_id).toBe('x'.repeat(512));
});

test('an event that comes again is passed over', () => {
  const event = recorded(spendRecorded());
  expect(project(spendLog, [event, event])).toHaveLength(1);
});

test('spend that belongs to no tenant is refused', () => {
  expect(() => project(spendLog, [recorded(spendRecorded(), { tenantId: null })])).toThrow(
    'without a tenant',
  );
});
