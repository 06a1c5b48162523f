import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Admin, startAdmin } from '../support/admin.ts';
import { commands, emptyModel, expectSame } from '../support/management-model.ts';

/** MANAGEMENT_SEQUENCES=1000 takes some minutes. */
const SEQUENCES = Number(process.env['MANAGEMENT_SEQUENCES'] ?? 20);
const LENGTH_MAX = 12;

let admin: Admin;
beforeAll(async () => {
  admin = await startAdmin();
});
afterAll(() => admin?.close());

test(`${SEQUENCES} random sequences of changes leave what a simple model says`, {
  timeout: SEQUENCES * 4_000,
}, async () => {
  let sequence = 0;
  let ran = 0;
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: LENGTH_MAX, size: 'max' }), async (all) => {
      const model = emptyModel();
      const real = { admin, prefix: `s${(sequence += 1)}` };
      await fc.asyncModelRun(() => ({ model, real }), all);
      await expectSame(model, real);
      ran += 1;
    }),
    { numRuns: SEQUENCES, endOnFailure: false },
  );
  expect(ran).toBeGreaterThanOrEqual(SEQUENCES);
});
