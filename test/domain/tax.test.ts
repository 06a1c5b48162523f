import { describe, expect, test } from 'vitest';
import { agencyTaxStatus } from '../../src/domain/tax-status.ts';
import { type DatedTaxStatus, DOMESTIC, lineTax, standardRateOn, taxOn } from '../../src/domain/tax.ts';
import { vatCheck } from '../../src/domain/vat-check.ts';
import { taxStatusDeclared, vatIdChecked } from '../support/events.ts';
import { specification } from '../support/specification.ts';

describe('the rate of a service', () => {
  test.each([
    ['2020-06', '19'],
    ['2020-07', '16'],
    ['2020-12', '16'],
    ['2021-01', '19'],
    ['2026-11', '19'],
  ])('of %s is %s %%', (month, ratePercent) => {
    expect(lineTax(DOMESTIC, [], month)).toEqual({ category: 'S', ratePercent });
  });

  test('changes with the day, not before it', () => {
    expect(standardRateOn('2020-06-30')).toBe('19');
    expect(standardRateOn('2020-07-01')).toBe('16');
  });
});

describe('the tax status of an agency', () => {
  const statuses: readonly DatedTaxStatus[] = [
    { from: '2026-01-01', status: 'small-business' },
    { from: '2026-11-30', status: 'standard' },
  ];

  test('of the last day of a month is that of its service', () => {
    expect(lineTax(DOMESTIC, statuses, '2025-12').category).toBe('S');
    expect(lineTax(DOMESTIC, statuses, '2026-10')).toEqual({ category: 'E', ratePercent: '0' });
    expect(lineTax(DOMESTIC, statuses, '2026-11').category).toBe('S');
  });

  test('says nothing about services that are taxed abroad', () => {
    const abroad = { treatment: 'reverse-charge', evidence: 'vck_1' } as const;
    expect(lineTax(abroad, statuses, '2026-10').category).toBe('AE');
    const third = { treatment: 'third-country', evidence: null } as const;
    expect(lineTax(third, statuses, '2026-10').category).toBe('O');
  });

  test('is declared when it changes; of two for one day the later declaration counts', () => {
    const given = specification(agencyTaxStatus);
    const { data } = taxStatusDeclared();
    given()
      .when({ type: 'declare', ...data })
      .gives(taxStatusDeclared())
      .andNothingWhenRepeated();
    const back = { ...data, status: 'standard' } as const;
    const state = given(taxStatusDeclared(), taxStatusDeclared(back)).state;
    expect(lineTax(DOMESTIC, state, '2026-10').category).toBe('S');
  });
});

test('the newest check of a VAT id counts', () => {
  const given = specification(vatCheck);
  const check = vatIdChecked({ checkId: 'vck_2', valid: false }).data;
  given(vatIdChecked()).when({ type: 'record', check }).gives({ type: 'vat-id.checked', data: check });
  expect(given(vatIdChecked(), { type: 'vat-id.checked', data: check }).state).toEqual(check);
});

test.each([
  [100n, '19', 19n],
  [50n, '19', 10n],
  [-50n, '19', -10n],
  [3n, '16', 0n],
  [1_000n, '0', 0n],
])('tax on %s cents at %s %% is %s cents, half up', (net, rate, tax) => {
  expect(taxOn(net, rate)).toBe(tax);
});
