import { afterAll, beforeAll, expect, test } from 'vitest';
import { newEvent, spendRecorded } from '../support/events.ts';
import { type AuditedDatabase, auditedDatabase, openStore, seedHistory } from './audited-database.ts';

let audited: AuditedDatabase;

beforeAll(async () => {
  audited = await auditedDatabase();
  await seedHistory(audited);
});

afterAll(() => audited.drop());

test('a log verifies while spend goes on and months are closed and invoiced', async () => {
  let requests = 0;
  const isVerifying = { now: true };
  async function goOn(): Promise<void> {
    while (isVerifying.now) {
      requests += 1;
      const event = spendRecorded({ requestId: `live_${requests}`, month: '2026-11' });
      await audited.append('spend-2026-11-live', [event]);
      if (requests === 5) await audited.invoice('2026-11');
    }
  }
  const going = goOn();
  const reports = [];
  for (let i = 0; i < 4; i += 1) reports.push(await audited.verify());
  isVerifying.now = false;
  await going;
  await audited.settle();
  reports.push(await audited.verify());
  for (const { checks } of reports) expect(checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(requests).toBeGreaterThan(5);
  expect(reports.at(-1)?.checks.find(({ name }) => name === 'invoices')?.detail).toContain(
    '6 finalised invoices',
  );
});

test('what a read model has not come to yet is lag, and no alarm', async () => {
  await audited.stopServer();
  const before = await audited.verify();
  const store = openStore(audited);
  await store.append([
    {
      stream: 'spend-2026-12-late',
      expected: 'none',
      events: [newEvent(spendRecorded({ requestId: 'late' }), 'late')],
    },
  ]);
  await store.close();
  const after = await audited.verify();
  expect(after).toMatchObject({ ok: true, events: before.events + 1 });
});
