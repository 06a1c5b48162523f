import { expect, test } from 'vitest';
import { billingPeriod, type PeriodClosed } from '../../src/domain/billing-period.ts';
import { specification } from '../support/specification.ts';

const given = specification(billingPeriod);
const closed: PeriodClosed = { type: 'period.closed', data: { agencyId: 'age_1', period: '2026-11' } };
const close = { type: 'close', agencyId: 'age_1', period: '2026-11' } as const;

test('a period is closed once; closing it again changes nothing', () => {
  given().when(close).gives(closed).andNothingWhenRepeated();
  given(closed).when(close).gives();
  expect(given(closed).state).toEqual({ closed: true });
});
