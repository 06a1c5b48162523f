import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fold } from '../../src/domain/decider.ts';
import {
  formatInvoiceNumber,
  invoiceNumber,
  type NumberAssigned,
  placeOf,
} from '../../src/domain/invoice-number.ts';
import { specification } from '../support/specification.ts';

const given = specification(invoiceNumber);
const assigned = (invoiceId: string): NumberAssigned => ({ type: 'number.assigned', data: { invoiceId } });

test('an invoice gets one number, however often it asks', () => {
  given(assigned('inv_1'), assigned('inv_2'))
    .when({ type: 'assign', invoiceId: 'inv_3' })
    .gives(assigned('inv_3'))
    .andNothingWhenRepeated();
  given(assigned('inv_1'), assigned('inv_2')).when({ type: 'assign', invoiceId: 'inv_1' }).gives();
});

test('numbers of a series are 1 to N without a gap, in whatever order and however often invoices ask', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 15 })), (asking) => {
      const events: NumberAssigned[] = [];
      for (const n of asking) {
        events.push(
          ...invoiceNumber.decide({ type: 'assign', invoiceId: `inv_${n}` }, fold(invoiceNumber, events)),
        );
      }
      const state = fold(invoiceNumber, events);
      const invoices = [...new Set(asking)];
      expect(invoices.map((n) => placeOf(`inv_${n}`, state))).toEqual(invoices.map((_, index) => index + 1));
    }),
  );
});

test('an invoice without a number has no place', () => {
  expect(placeOf('inv_1', null)).toBeNull();
  expect(placeOf('inv_9', fold(invoiceNumber, [assigned('inv_1')]))).toBeNull();
});

test('a number has five digits or more', () => {
  expect(formatInvoiceNumber('RE-2026', 42)).toBe('RE-2026-00042');
  expect(formatInvoiceNumber('RE-2026', 123_456)).toBe('RE-2026-123456');
});
