import { describe, test } from 'vitest';
import { agency, type AgencyEvent, type AgencySettings } from '../../src/domain/agency.ts';
import { specification } from '../support/specification.ts';

const given = specification(agency);
const settings: AgencySettings = {
  agencyId: 'age_1',
  currency: 'EUR',
  zone: 'Europe/Berlin',
  invoiceSeries: 'RE',
  contactVersion: 1,
};
const registered: AgencyEvent = { type: 'agency.registered', data: settings };

describe('an agency', () => {
  test('is registered once', () => {
    given().when({ type: 'register', settings }).gives(registered).andThen({ settings });
    given(registered).when({ type: 'register', settings }).refuses('agency_exists');
  });

  test('changes to new settings, and stays as it is with the same ones', () => {
    const moved = { ...settings, contactVersion: 2 };
    given(registered)
      .when({ type: 'change', settings: moved })
      .gives({ type: 'agency.changed', data: moved })
      .andNothingWhenRepeated();
    given(registered)
      .when({ type: 'change', settings: { ...settings } })
      .gives();
  });

  test('that was never registered cannot change', () => {
    given().when({ type: 'change', settings }).refuses('not_found', { what: 'agency' });
  });
});
