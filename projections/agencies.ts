import type { AgencySettings } from '../src/domain/agency.ts';
import { defineProjection } from '../src/projection.ts';

/** The agencies, as last changed. */
export const agencies = defineProjection({
  name: 'agencies',
  version: 1,
  columns: {
    agency_id: 'text',
    currency: 'text',
    zone: 'text',
    invoice_series: 'text',
    contact_version: 'bigint',
  },
  key: ['agency_id'],
  on: {
    'agency.registered': (settings) => ({
      op: 'insert',
      row: { agency_id: settings.agencyId, ...settingsColumns(settings) },
    }),
    'agency.changed': (settings) => ({
      op: 'update',
      where: { agency_id: settings.agencyId },
      set: settingsColumns(settings),
    }),
  },
});

function settingsColumns({ currency, zone, invoiceSeries, contactVersion }: AgencySettings) {
  return { currency, zone, invoice_series: invoiceSeries, contact_version: BigInt(contactVersion) };
}
