import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ScopeRequest } from '../../src/audit/export-scope.ts';
import { recordTables } from '../../src/audit/records.ts';
import { signSeal } from '../../src/audit/seal.ts';
import type { Seal } from '../../src/domain/log-seal.ts';
import { readModels } from '../../src/read-models.ts';
import { keyBlocked, keyUnblocked, spendRecorded } from '../support/events.ts';
import { type AuditedDatabase, auditedDatabase, sealNow, seedHistory } from './audited-database.ts';
import { chainAnew, check, exported, failures, type Line, parsed, withFooter } from './bundles.ts';
import { newKey } from './sealed-log.ts';

const key = newKey();
const trusted = [key];
let audited: AuditedDatabase;
let seals: readonly Seal[];
let whole: readonly string[];

beforeAll(async () => {
  audited = await auditedDatabase();
  await seedHistory(audited);
  const first = await sealNow(audited, key);
  await audited.append('key-key_1', [keyBlocked()]);
  await audited.append('spend-2026-11-w4', [
    spendRecorded({ requestId: 'late_1', endUser: 'two\u2028lines', tags: ['line\nfeed'] }),
  ]);
  seals = [...first, ...(await sealNow(audited, key))];
  await audited.append('key-key_1', [keyUnblocked()]);
  await audited.settle();
  whole = await exported(audited, { kind: 'all' });
});
afterAll(() => audited.drop());

/** Alters a copy of the entries, gives it a footer that fits, and checks it. */
async function forge(
  lines: readonly string[],
  alter: (entries: Line[]) => Line[] | void,
  options: object = { trusted },
) {
  const entries = parsed(lines);
  return failures(await check(withFooter(alter(entries) ?? entries), options));
}

describe('a full export', () => {
  test('has the events as they are stored and everything that lies beside the log, and checks offline', async () => {
    const report = await check(whole, { trusted, expected: seals.map(({ hash }) => hash) });
    expect(failures(report)).toEqual({});
    const { rows } = await audited.pool.query<{ count: bigint }>('select count(*) from events');
    expect(report).toMatchObject({ ok: true, events: Number(rows[0]!.count), scope: { kind: 'all' } });
    expect(report).toMatchObject({ sealedTo: String(seals[1]!.position), newestSeal: seals[1]!.hash });
    const records = parsed(whole).flatMap(({ record }) => (record === undefined ? [] : [record.table]));
    expect(new Set(records)).toEqual(new Set(['contacts', 'invoice_documents']));
  });

  test('has every table that is not made from the log', async () => {
    const { rows } = await audited.pool.query<{ name: string }>(
      `select table_name as name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`,
    );
    const made =
      /^(events|projections|kysely_.*|migration_checksum|gateway_processes|limit_bases|limit_shares|outbox_checkpoint|sessions|passwords|login_attempts|verification|day_sums|day_sums_checked|deployment_providers|repeated_requests)$/;
    const models = new RegExp(`^(${readModels.map(({ name }) => name).join('|')})__v`);
    const beside = rows.map(({ name }) => name).filter((name) => !made.test(name) && !models.test(name));
    expect(beside.toSorted()).toEqual(recordTables.map(({ table }) => table).toSorted());
  });

  const at = (entries: Line[], find: (event: Line) => boolean) =>
    entries.findIndex(({ event }) => event && find(event));
  const isSpend = (event: Line) => event.type === 'spend.recorded';

  test.each<readonly [string, (entries: Line[]) => Line[] | void, string, string]>([
    [
      'a changed amount',
      (e) => void (e[at(e, isSpend)].event.data = e[at(e, isSpend)].event.data.replace('262500', '262499')),
      'chains',
      'it was altered',
    ],
    ['a deleted event', (e) => void e.splice(at(e, isSpend), 1), 'chains', 'follows revision'],
    [
      'an event put in',
      (e) => void e.splice(at(e, isSpend), 0, e[at(e, isSpend)]),
      'chains',
      'follows revision',
    ],
    [
      'two events that changed places, and their positions with them',
      (e) => {
        const [a, b] = [at(e, ({ stream }) => stream === 'key-key_2'), at(e, isSpend)];
        const places = ['position', 'recordedAt'].map(
          (name) => [name, e[a].event[name], e[b].event[name]] as const,
        );
        [e[a], e[b]] = [e[b], e[a]];
        for (const [name, first, second] of places) [e[a].event[name], e[b].event[name]] = [first, second];
      },
      'seals',
      'not in the order that was sealed',
    ],
    [
      'a chain made anew from the edit on',
      (e) => {
        const { event } = e[at(e, isSpend)];
        event.correlationId = 'x';
        chainAnew(e, event.stream);
      },
      'seals',
      `covers positions 1 to`,
    ],
    [
      'a seal that was signed again with another key',
      (e) => {
        const { event } = e[at(e, ({ type }) => type === 'log.sealed')];
        const { position, after, ...rest } = JSON.parse(event.data);
        const { signature } = signSeal(newKey(), {
          ...rest,
          position: BigInt(position),
          after: BigInt(after),
        });
        event.data = event.data.replace(rest.signature, signature);
        chainAnew(e, 'checkpoint');
      },
      'signatures',
      'is not signed by its key',
    ],
    [
      'an altered document',
      (e) => void (e.find(({ record }) => record?.table === 'invoice_documents').record.row.document += ' '),
      'documents',
      'was altered',
    ],
    [
      'a missing document',
      (e) => e.filter(({ record }) => record?.table !== 'invoice_documents'),
      'documents',
      'is missing',
    ],
    [
      'a payload that nobody can read',
      (e) => void (e[at(e, isSpend)].event.data = '{}'),
      'payloads',
      'not readable',
    ],
    ['the name of another key', (e) => e, 'signatures', 'none that you trust'],
  ])('with %s is found out, although the footer was made anew', async (name, alter, failing, problem) => {
    const options = name === 'the name of another key' ? { trusted: [newKey()] } : { trusted };
    expect((await forge(whole, alter, options))[failing]).toContain(problem);
  });

  test('whose end was cut off is found out by what must be there, and by nothing else', async () => {
    const cut = (entries: Line[]) => {
      const end = entries.findIndex(
        ({ event }) => event?.stream === 'checkpoint' && BigInt(event.position) > seals[0]!.position,
      );
      return entries.filter(({ event }, i) => event === undefined || i <= end);
    };
    expect(await forge(whole, cut)).toEqual({});
    const found = await forge(whole, cut, { trusted, expected: [seals[1]!.hash] });
    expect(found['expected']).toContain(`${seals[1]!.hash} is not in the log`);
  });

  test.each([
    [
      'was changed on the way',
      (lines: string[]) => lines.with(3, lines[3]!.replace('age_1', 'age_2')),
      'the footer is not that',
    ],
    ['was cut off', (lines: string[]) => lines.slice(0, 9), 'ends without a footer'],
    ['has a broken line', (lines: string[]) => lines.with(5, '{"event":'), 'line 6: it is no JSON'],
    ['has a line of its own', (lines: string[]) => lines.with(5, '{"gift":1}'), 'line 6: it is of a kind'],
    ['has no header', (lines: string[]) => lines.slice(1), 'has no header'],
    ['goes on after its footer', (lines: string[]) => [...lines, lines[4]!], 'nothing may follow'],
    ['is empty', () => [], 'ends without a footer'],
  ])('that %s is no bundle', async (_, alter, problem) => {
    expect(failures(await check(alter([...whole])))['file']).toContain(problem);
  });
});

describe('a partial export', () => {
  const requests: readonly (readonly [string, ScopeRequest])[] = [
    ['tenant', { kind: 'tenant', id: 'ten_2' }],
    ['key', { kind: 'key', id: 'key_2' }],
    ['invoice', { kind: 'invoice', number: 'RE-2026-00002', agencyId: undefined }],
  ];
  const types = (lines: readonly string[]) =>
    new Set(parsed(lines).flatMap(({ event }) => (event === undefined ? [] : [event.type])));

  test('of an invoice that charges what its requests do not come to is found out by the sums', async () => {
    const lines = await exported(audited, requests[2]![1]);
    const entries = parsed(lines);
    const spend = entries.find(({ event }) => event?.type === 'spend.recorded').event;
    spend.data = spend.data.replace(
      /"quantity":(\d+)/,
      (_: string, count: string) => `"quantity":${Number(count) + 1}`,
    );
    const { sums } = failures(await check(withFooter(entries), { trusted }));
    expect(sums).toMatch(/line \d+ charges \d+ for [\d.]+, the requests come to \d+ for [\d.]+/);
  });

  test.each(requests)('of a %s proves each event and names nobody else', async (_, request) => {
    const lines = await exported(audited, request);
    const report = await check(lines, { trusted });
    expect(failures(report)).toEqual({});
    expect(lines.join('\n')).not.toMatch(/ten_1|key_1\b/);
    expect(report.checks.find(({ name }) => name === 'proofs')?.detail).toMatch(
      /^\d+ events are under a seal/,
    );
    const proven = parsed(lines).filter(({ proof }) => proof !== undefined).length;
    const sealed = parsed(lines).filter(
      ({ event }) =>
        event !== undefined && event.stream !== 'checkpoint' && BigInt(event.position) <= seals[1]!.position,
    );
    expect(proven).toBe(sealed.length);
    expect(proven).toBeGreaterThan(2);
  });

  test('has all that concerns its subject, and only that', async () => {
    const [tenant, ofKey, invoice] = await Promise.all(
      requests.map(([, request]) => exported(audited, request)),
    );
    const always = ['log.key-rotated', 'log.sealed'];
    expect(types(tenant!)).toEqual(
      new Set([
        ...always,
        'tenant.onboarded',
        'contract.signed',
        'project.opened',
        'key.generated',
        'spend.recorded',
        'invoice.drafted',
        'number.assigned',
        'invoice.finalized',
      ]),
    );
    expect(types(ofKey!)).toEqual(new Set([...always, 'key.generated', 'spend.recorded']));
    expect(types(invoice!)).toEqual(
      new Set([
        ...always,
        'tenant.onboarded',
        'contract.signed',
        'project.opened',
        'spend.recorded',
        'period.closed',
        'invoice.drafted',
        'number.assigned',
        'invoice.finalized',
      ]),
    );
    const spend = (lines: readonly string[]) =>
      parsed(lines).filter(({ event }) => event?.type === 'spend.recorded').length;
    expect([tenant!, ofKey!, invoice!].map(spend)).toEqual([7, 7, 1]);
    const records = (lines: readonly string[]) =>
      parsed(lines).flatMap(({ record }) => (record ? [record.table] : []));
    expect(records(tenant!)).toEqual(['contacts', 'invoice_documents', 'invoice_documents']);
    expect([records(ofKey!), records(invoice!)]).toEqual([[], ['invoice_documents']]);
  });

  test('of nothing does not exist', async () => {
    for (const request of [
      { kind: 'tenant', id: 'ten_9' },
      { kind: 'key', id: 'key_9' },
      { kind: 'invoice', number: 'RE-2026-09999', agencyId: undefined },
    ] as const) {
      await expect(exported(audited, request)).rejects.toThrow('no such thing');
    }
  });

  const find = (entries: Line[], type: string) => entries.find(({ event }) => event?.type === type).event;
  test.each<readonly [string, (entries: Line[]) => Line[] | void, string, string]>([
    [
      'a changed amount',
      (e) => void (find(e, 'spend.recorded').data = find(e, 'spend.recorded').data.replace('262500', '1')),
      'events',
      'it was altered',
    ],
    [
      'a changed amount and its hash made anew',
      (e) => {
        const event = find(e, 'contract.signed');
        event.data = event.data.replace('10000000000', '1');
        chainAnew(e, event.stream);
      },
      'proofs',
      'is not under any seal',
    ],
    [
      'a changed amount, hash and proof made anew',
      (e) => {
        const event = find(e, 'contract.signed');
        const proof = e.find(
          (line) => line.proof?.stream === event.stream && line.proof.revision === event.revision,
        ).proof;
        event.data = event.data.replace('10000000000', '1');
        chainAnew(e, event.stream);
        proof.hash = event.hash;
      },
      'proofs',
      'is not under any seal',
    ],
    [
      'an event left out',
      (e) => e.filter(({ event }) => event?.type !== 'contract.signed'),
      'chains',
      'events are missing',
    ],
    [
      'the end of a stream left out',
      (e) =>
        e.filter(
          ({ event, proof }) =>
            !((event ?? proof)?.stream === 'tenant-ten_2' && (event ?? proof).revision === '2'),
        ),
      'chains',
      'went to revision 2',
    ],
    [
      'a proof left out',
      (e) => e.filter(({ proof }) => proof?.stream !== 'key-key_2'),
      'proofs',
      'has no proof',
    ],
    [
      'an event of somebody else',
      (e) => void (find(e, 'spend.recorded').tenantId = 'ten_1'),
      'events',
      'does not belong',
    ],
    [
      'a seal left out',
      (e) => e.filter(({ event }) => event?.position !== String(seals[0]!.position + 1n)),
      'signatures',
      'a seal was removed',
    ],
    [
      'another order',
      (e) => {
        const a = e.findIndex(({ event }) => event);
        [e[a], e[a + 1]] = [e[a + 1], e[a]];
      },
      'events',
      'out of order',
    ],
  ])('with %s is found out', async (_, alter, failing, problem) => {
    const lines = await exported(audited, { kind: 'tenant', id: 'ten_2' });
    expect((await forge(lines, alter))[failing]).toContain(problem);
  });
});

test('a log that is not what was sealed is not exported in part', async () => {
  const other = await auditedDatabase();
  try {
    await seedHistory(other);
    await sealNow(other, key);
    await other.pool.query('alter table events disable trigger user');
    await other.pool.query(`update events set hash = repeat('a', 64) where position = 4`);
    await expect(exported(other, { kind: 'tenant', id: 'ten_1' })).rejects.toThrow('run audit verify');
  } finally {
    await other.drop();
  }
});
