import { expect, test } from 'vitest';
import { periods } from '../../projections/periods.ts';
import { AT, periodClosed, recorded } from '../support/events.ts';
import { project } from '../support/project.ts';

test('a closed period knows the place in the log where it was cut', () => {
  expect(project(periods, [recorded(periodClosed(), { position: 42n })])).toEqual([
    { agency_id: 'age_1', period: '2026-11', closed_at: AT, position: 42n },
  ]);
});
