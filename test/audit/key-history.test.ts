import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatKeyHistory } from '../../src/audit/format-key-history.ts';
import { keyHistory, type KeyHistory, type Moment } from '../../src/audit/key-history.ts';
import type { Json } from '../../src/domain/json.ts';
import { hashSecret } from '../../src/secrets.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import {
  keyDeleted,
  keyGenerated,
  keySettings,
  projectBlocked,
  tenantSuspended,
  TOKEN_HASH,
} from '../support/events.ts';
import { type AuditedDatabase, auditedDatabase, openStore, seedHistory } from './audited-database.ts';

const NOW = '2026-11-20T12:00:00.000Z';
let audited: AuditedDatabase;
let store: EventStore;

beforeAll(async () => {
  audited = await auditedDatabase();
  await seedHistory(audited);
  await addKeys();
  store = openStore(audited);
});

afterAll(async () => {
  await store.close();
  await audited.drop();
});

async function history(name: string, at?: Moment): Promise<KeyHistory | null> {
  return await keyHistory({ store, db: audited.db, now: () => NOW }, name, at === undefined ? {} : { at });
}

describe('the history of a key', () => {
  test('has its steps, its state, and its spend by month with the invoices that carry it', async () => {
    const found = await history('key_1');
    expect(found).toMatchObject({ key_id: 'key_1', tenant_id: 'ten_1', agency_id: 'age_1', at: NOW });
    expect(found?.steps.map(({ type }) => type)).toEqual([
      'key.generated',
      'key.blocked',
      'key.unblocked',
      'key.limits-changed',
      'key.rotated',
    ]);
    expect(found?.state).toMatchObject({ status: 'active', requests_per_minute: 5, rotations: 1 });
    const price = (amount: string) => ({ amount, currency: 'EUR' });
    expect(found?.spend).toMatchObject([
      {
        month: '2026-09',
        requests: 1,
        input_tokens: '1000',
        output_tokens: '200',
        price: price('0.0002625'),
        invoices: [
          { number: 'RE-2026-00001', status: 'finalized', period: '2026-09', price: price('0.0002625') },
        ],
      },
      {
        month: '2026-10',
        requests: 4,
        price: price('0.00105'),
        invoices: [
          { number: 'RE-2026-00003', status: 'finalized', period: '2026-10', price: price('0.0007875') },
          { invoice_id: null, number: null, status: 'open', period: null, price: price('0.0002625') },
        ],
      },
      { month: '2026-11', requests: 2, invoices: [{ status: 'open' }] },
    ]);
  });

  test('is plain JSON and names no whole hash of a secret', async () => {
    const json: Json = await history('key_1');
    expect(JSON.parse(JSON.stringify(json))).toEqual(json);
    expect(JSON.stringify(json)).not.toContain(TOKEN_HASH);
  });

  test('is the one of that moment: state, acceptance and spend', async () => {
    expect(await history('key_1', '2026-10-10T07:59:59.999Z')).toMatchObject({
      at: '2026-10-10T07:59:59.999Z',
      steps: [{ type: 'key.generated' }],
      state: { status: 'active', requests_per_minute: 60 },
      acceptance: { secret: true, old_secret: false, refusal: null },
      spend: [{ month: '2026-09' }],
    });
    const blockedAt = (await history('key_1'))!.steps[1]!.position;
    expect(await history('key_1', BigInt(blockedAt))).toMatchObject({
      position: blockedAt,
      state: { status: 'blocked' },
      acceptance: { secret: false, old_secret: false, refusal: 'key_blocked' },
    });
  });

  test.each([
    ['2026-10-20T08:00:00.000Z', true],
    ['2026-10-21T07:59:59.999Z', true],
    ['2026-10-21T08:00:00.000Z', false],
  ])('says whether the secret before the rotation was still accepted at %s', async (at, accepted) => {
    expect((await history('key_1', at))?.acceptance).toEqual({
      secret: true,
      old_secret: accepted,
      refusal: null,
    });
  });

  test('before it existed is empty, and says so', async () => {
    const found = await history('key_1', '2020-01-01T00:00:00.000Z');
    expect(found).toMatchObject({
      position: null,
      state: null,
      steps: [],
      spend: [],
      acceptance: { refusal: 'unknown_key' },
    });
    expect(formatKeyHistory(found!)).toContain('the key did not exist');
  });

  test('of a key that never existed does not exist', async () => {
    expect(await history('key_none')).toBeNull();
  });

  test('reads as a page of text', async () => {
    const text = formatKeyHistory((await history('key_1'))!);
    expect(text).toMatch(
      /#\d+ {2}2026-10-10T08:00:00\.000Z {2}key\.limits-changed {2}by master default_user_id/,
    );
    expect(text).toContain('requests_per_minute  60 -> 5');
    expect(text).toMatch(/2026-10 +4 +4000 +800 +0\.00105 +EUR/);
    expect(text).toContain('RE-2026-00003');
    expect(text).toContain('was accepted');
  });
});

describe('a key is found', () => {
  test.each([
    ['id', 'key_1', 'key_1'],
    ['hash of its secret', 'c'.repeat(64), 'key_3'],
    ['alias', 'survivor', 'key_3'],
    ['secret', 'sk-probe-probe-probe-probe', 'key_5'],
  ])('by its %s', async (_, name, keyId) => {
    expect((await history(name))?.key_id).toBe(keyId);
  });

  test('live before deleted when both had the alias', async () => {
    expect((await history('survivor'))?.key_id).toBe('key_3');
    expect((await history('key_4'))?.acceptance.refusal).toBe('unknown_key');
  });
});

describe('the secret of a key', () => {
  test('is refused after it expired, while its project is blocked, and while its tenant is suspended', async () => {
    const settings = keySettings({ projectId: 'prj_2', expiresAt: '2026-11-10T00:00:00.000Z' });
    const generated = keyGenerated({
      keyId: 'key_6',
      tenantId: 'ten_2',
      tokenHash: 'f'.repeat(64),
      settings,
    });
    const envelope = { tenantId: 'ten_2' };
    audited.clock = '2026-11-03T00:00:00.000Z';
    await audited.append('key-key_6', [generated], envelope);
    audited.clock = '2026-11-04T00:00:00.000Z';
    await audited.append('tenant-ten_2', [projectBlocked({ projectId: 'prj_2' })], envelope);
    audited.clock = '2026-11-05T00:00:00.000Z';
    await audited.append('tenant-ten_2', [tenantSuspended({ tenantId: 'ten_2' })], envelope);
    await audited.settle();
    const refusals = [];
    for (const day of ['03', '04', '05', '10']) {
      refusals.push((await history('key_6', `2026-11-${day}T00:00:00.000Z`))?.acceptance.refusal);
    }
    expect(refusals).toEqual([null, 'project_blocked', 'tenant_suspended', 'key_expired']);
  });
});

async function addKeys(): Promise<void> {
  const settings = keySettings({ alias: 'survivor' });
  await audited.append('key-key_3', [keyGenerated({ keyId: 'key_3', tokenHash: 'c'.repeat(64), settings })]);
  const tokenHash = 'd'.repeat(64);
  audited.clock = '2026-11-02T08:00:00.000Z';
  await audited.append('key-key_4', [
    keyGenerated({ keyId: 'key_4', tokenHash, settings }),
    keyDeleted({ keyId: 'key_4', tokenHash }),
  ]);
  await audited.append('key-key_5', [
    keyGenerated({ keyId: 'key_5', tokenHash: hashSecret('sk-probe-probe-probe-probe') }),
  ]);
  await audited.settle();
}
