import { expect, test } from 'vitest';
import { plans } from '../../projections/plans.ts';
import { AT, planPublished } from '../support/events.ts';
import { project } from '../support/project.ts';

test('every published version of a plan stays', () => {
  const rows = project(plans, [planPublished(), planPublished({ planVersion: 2, monthlyFeeNanos: 1n })]);
  expect(rows).toMatchObject([
    { name: 'studio', version: 1n, published_at: AT, terms: { monthlyFeeNanos: '49000000000' } },
    { name: 'studio', version: 2n, terms: { monthlyFeeNanos: '1' } },
  ]);
});
