import { expect, test } from 'vitest';
import { agencies } from '../../projections/agencies.ts';
import { agencyChanged, agencyRegistered } from '../support/events.ts';
import { project } from '../support/project.ts';

test('an agency shows as it was last changed', () => {
  expect(project(agencies, [agencyRegistered()])).toEqual([
    { agency_id: 'age_1', currency: 'EUR', zone: 'Europe/Berlin', invoice_series: 'RE', contact_version: 1n },
  ]);
  const changed = agencyChanged({ invoiceSeries: 'AG', contactVersion: 2 });
  expect(project(agencies, [agencyRegistered(), changed])).toMatchObject([
    { invoice_series: 'AG', contact_version: 2n, zone: 'Europe/Berlin' },
  ]);
});
