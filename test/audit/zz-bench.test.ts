import { expect, test } from 'vitest';
import { auditedDatabase, seedHistory, openStore } from './audited-database.ts';
import { contractSigned, newEvent, spendRecorded, tenantOnboarded, keyGenerated } from '../support/events.ts';
import { RECIPIENT } from '../billing/memory-billing.ts';
test('bench', async () => {
  const a = await auditedDatabase();
  await seedHistory(a);
  const t0 = performance.now();
  for (let i = 0; i < 1000; i++) {
    const tenantId = `ten_b${String(i).padStart(4, '0')}`;
    await a.append(
      `tenant-${tenantId}`,
      [
        tenantOnboarded({ tenantId }),
        contractSigned({ tenantId, effectiveFrom: '2026-09-01T00:00:00.000Z' }),
      ],
      { tenantId },
    );
    await a.pool.query('insert into contacts (subject_id, version, data) values ($1,1,$2)', [
      tenantId,
      JSON.stringify(RECIPIENT),
    ]);
  }
  const store = openStore(a);
  let head: any = 'none';
  for (let b = 0; b < 200; b++) {
    const events = Array.from({ length: 500 }, (_, i) =>
      newEvent(
        spendRecorded({ requestId: `b${b}_${i}`, keyId: `key_${i}`, month: '2026-11' }),
        `b${b}_${i}`,
        { tenantId: `ten_b${String(i).padStart(4, '0')}` },
      ),
    );
    const { heads } = await store.append([{ stream: 'spend-2026-11-bench', expected: head, events }]);
    head = heads[0];
  }
  console.log('seed', performance.now() - t0);
  for (;;) {
    try {
      await a.settle();
      break;
    } catch (e) {
      console.log('not yet');
    }
  }
  console.log('settled', performance.now() - t0);
  a.clock = '2026-12-01T08:00:00.000Z';
  const t1 = performance.now();
  const r = await a.invoice('2026-11');
  console.log(
    'invoices',
    r.invoices.length,
    r.invoices.filter((i) => i.status === 'finalized').length,
    performance.now() - t1,
    'ms',
  );
  await a.settle();
  await a.stopServer();
  global.gc?.();
  const m0 = process.memoryUsage();
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 50);
  let logMs = 0;
  const t2 = performance.now();
  const report = await a.verify(({ part }) => {
    if (part === 'log') logMs = performance.now() - t2;
  });
  clearInterval(timer);
  console.log(
    report.ok,
    report.events,
    report.streams,
    report.eventsPerSecond,
    report.durationMs,
    logMs,
    'rss before',
    m0.rss / 1e6,
    'peak',
    peak / 1e6,
  );
  if (!report.ok)
    console.log(
      JSON.stringify(
        report.checks.filter((c) => !c.ok),
        null,
        1,
      ).slice(0, 3000),
    );
  await store.close();
  await a.drop();
  expect(1).toBe(1);
}, 600_000);
